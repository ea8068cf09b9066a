import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import { expect, open, test } from "./served.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PLACES = ["", "#/jobs/shop/orders/graph?vertex=2", "#/jobs/shop/orders/graph?as=table", "#/jobs/shop/orders/checkpoints?id=405", "#/jobs/shop/orders/snapshots",
  "#/jobs/shop/orders/exceptions", "#/jobs/shop/orders/logs", "#/jobs/shop/orders/metrics", "#/jobs/shop/orders/configuration"];

for (const colorScheme of ["light", "dark"] as const)
  test(`nothing stands in the way of screen readers or weak eyes, ${colorScheme}`, async ({ page, served }) => {
    await page.emulateMedia({ colorScheme });
    const found: string[] = [];
    const look = async (place: string): Promise<void> => {
      await page.evaluate(AXE);
      const results = await page.evaluate(() => (globalThis as unknown as { axe: { run: (options: object) => Promise<unknown> } }).axe.run({ resultTypes: ["violations"], preload: false })) as AxeResults;
      for (const violation of results.violations)
        found.push(`${place}: ${violation.id}: ${violation.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
    };
    for (const place of PLACES) {
      await page.goto("about:blank");
      await open(page, served, place);
      await expect(page.getByRole("main").locator("table, figure, [role=log], article, .node").first()).toBeVisible();
      await look(place);
    }
    await page.getByRole("button", { name: "Upgrade" }).click();
    await page.getByLabel("Parallelism").fill("16");
    await page.getByRole("button", { name: "Show what would happen" }).click();
    await expect(page.getByText("Can be done")).toBeVisible();
    await look("the upgrade dialog");
    await page.keyboard.press("Escape");
    await page.setViewportSize({ width: 400, height: 860 });
    await look("a narrow page");
    expect(found).toEqual([]);
  });

test("digits lead to the tabs, ? tells the keys, t changes the colours, and the choice is kept", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await expect(page.getByRole("link", { name: "Graph" })).toBeVisible();
  await page.keyboard.press("2");
  await expect(page.getByRole("link", { name: "Checkpoints" })).toHaveAttribute("aria-current", "page");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await page.keyboard.press("Escape");
  await page.keyboard.press("t");
  await page.keyboard.press("t");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
});

test("the first tab key leads past the bar", async ({ page, served }) => {
  await open(page, served);
  await expect(page.getByRole("heading", { name: "Jobs" })).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the page" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
});

test("a narrow screen loses nothing to the side", async ({ page, served }) => {
  await page.setViewportSize({ width: 420, height: 860 });
  for (const place of ["", "#/jobs/shop/orders/graph", "#/jobs/shop/orders/checkpoints", "#/jobs/shop/orders/logs"]) {
    await open(page, served, place);
    await expect(page.getByRole("main")).toBeVisible();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(420);
  }
  await expect(page.getByRole("log").getByText(/read 4096 rows/).first()).toBeVisible();
  await expect(page.getByRole("link", { name: "Logs" })).toBeInViewport({ ratio: 1 });
});
