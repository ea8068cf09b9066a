/* The pictures in docs: the same states at the same moment each time. */
import type { Page } from "@playwright/test";
import { join } from "node:path";
import { expect, open, test } from "./served.ts";

const FOLDER = join(import.meta.dirname, "../../../../docs/images-of-the-page");
const NOW = Date.parse("2026-03-01T12:00:00Z");

test.use({ viewport: { width: 1180, height: 680 }, fixedClock: NOW });

async function picture(page: Page, name: string): Promise<void> {
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: join(FOLDER, `${name}.png`), animations: "disabled", caret: "hide" });
}

test("pictures for docs", async ({ page, served }) => {
  await page.clock.setFixedTime(NOW);
  await open(page, served);
  await expect(page.getByRole("link", { name: "orders", exact: true })).toBeVisible();
  await picture(page, "jobs");
  await open(page, served, "#/jobs/shop/orders/graph");
  await expect(page.locator(".node")).toHaveCount(6);
  await expect(page.getByText("checkpoint 411 is complete")).toBeVisible();
  await picture(page, "graph");
  await page.emulateMedia({ colorScheme: "dark" });
  await open(page, served, "#/jobs/shop/orders/graph?vertex=2");
  await expect(page.getByRole("complementary").getByRole("row").nth(3)).toBeVisible();
  await picture(page, "vertex");
  await page.emulateMedia({ colorScheme: "light" });
  await open(page, served, "#/jobs/shop/orders/checkpoints?id=405");
  await expect(page.getByRole("region", { name: "Checkpoint 405" }).getByRole("row").nth(3)).toBeVisible();
  await picture(page, "checkpoints");
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: "Upgrade" }).click();
  await page.getByLabel("Parallelism").fill("16");
  await page.setViewportSize({ width: 1180, height: 960 });
  await page.getByRole("button", { name: "Show what would happen" }).click();
  await expect(page.getByText("Can be done")).toBeVisible();
  await picture(page, "upgrade");
});
