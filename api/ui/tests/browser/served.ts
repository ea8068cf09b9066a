/* The built page below a path, with a fake service behind it, as strict as the real one: no inline script, nothing from
   elsewhere. What a page complains about fails its test. */
import { test as base, expect, type Page } from "@playwright/test";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fakeService, type Fake } from "../fake/service.ts";

const BUILT = join(import.meta.dirname, "../../../flowjob_api/static");
const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

interface Served {
  url: string;
  fake: Fake;
}

export const test = base.extend<{ served: Served; complaints: string[]; fixedClock: number | null }>({
  fixedClock: [null, { option: true }],
  served: async ({ fixedClock }, use) => {
    const fake = fakeService(fixedClock === null ? Date.now : () => fixedClock);
    const server = createServer((request, response) => {
      if (fake.handle(request, response)) return;
      const path = new URL(request.url ?? "/", "http://localhost").pathname.replace(/^\/under\/a\/path\//, "");
      const name = path === "" ? "index.html" : path;
      readFile(join(BUILT, name)).then(
        (body) => response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "text/plain", "Content-Security-Policy": POLICY }).end(body),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/under/a/path/`, fake });
    fake.close();
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  },
  complaints: [
    async ({ page, served }, use) => {
      const found: string[] = [];
      page.on("pageerror", (error) => found.push(error.message));
      page.on("console", (message) => {
        const expected = /Failed to load resource|ERR_/.test(message.text());
        if (message.type() === "error" && !expected) found.push(message.text());
      });
      page.on("request", (request) => {
        if (!request.url().startsWith(served.url) && !request.url().startsWith("data:")) found.push(`asked ${request.url()}`);
      });
      await use(found);
      expect(found).toEqual([]);
    },
    { auto: true },
  ],
});

export async function open(page: Page, served: Served, place = ""): Promise<void> {
  await page.goto(`${served.url}${place}`);
}

export { expect };
