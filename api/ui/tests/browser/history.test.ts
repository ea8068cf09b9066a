import { expect, open, test } from "./served.ts";

test("a bar of the timeline opens its checkpoint, a vertex its subtasks", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/checkpoints");
  await page.getByRole("button", { name: /Checkpoint 403, Failed/ }).click();
  const detail = page.getByRole("region", { name: "Checkpoint 403" });
  await expect(detail).toContainText("subtask 5 of enrich with rates has not acknowledged within 2.5 s");
  await detail.getByRole("button", { name: "enrich with rates" }).click();
  await expect(detail.getByRole("button", { name: "Stood still" })).toBeVisible();
  await expect(page).toHaveURL(/id=403/);
});

test("an exception shows the user's frames and the row, what follows from it is hidden at first", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/exceptions");
  await expect(page.getByText('File "orders.py", line 88, in to_euros')).toBeVisible();
  await expect(page.getByText("'currency': 'XTS'")).toBeVisible();
  await expect(page.getByRole("article")).toHaveCount(2);
  await page.getByLabel("Also 1 that follow from others").check();
  await expect(page.getByRole("article")).toHaveCount(3);
});

test("the log follows, stops when one scrolls up, goes on at the end, and draws only what is in sight", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/logs");
  const log = page.getByRole("log");
  await expect(page.getByText(/10\d\d lines/)).toBeVisible();
  expect(await log.getByRole("button").count()).toBeLessThan(80);
  const atEnd = (): Promise<boolean> => log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 30);
  await expect.poll(atEnd).toBe(true);
  await log.evaluate((box) => box.scrollBy(0, -400));
  await expect(page.getByRole("button", { name: "Follow", exact: true })).toBeVisible();
  await page.getByRole("button", { name: /\d+ new ↓/ }).click();
  await expect.poll(atEnd).toBe(true);
});

test("the log is filtered by the service, and a line opens to all of it", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/logs");
  await page.getByRole("button", { name: "Error", exact: true }).click();
  await expect(page).toHaveURL(/level=ERROR/);
  const lines = page.getByRole("log").getByRole("button");
  await expect(lines.first()).toContainText("could not reach rates.example:443");
  await page.getByLabel("Vertex").selectOption("enrich with rates");
  await expect(lines.first()).toContainText("join rates");
  await lines.first().click();
  await expect(page.getByRole("region", { name: "The whole line" })).toContainText("ZeroDivisionError");
  await page.getByLabel("Search the log").fill("no such words");
  await expect(page.getByText("No line is like that.")).toBeVisible();
});

test("charts say in words what they draw, for the job and for a vertex", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/metrics");
  await expect(page.getByRole("img", { name: /^Rows per second: in 1\d\d k, between/ })).toBeVisible();
  await expect(page.locator("canvas")).toHaveCount(7);
  await page.getByLabel("Of", { exact: true }).selectOption("enrich with rates");
  await expect(page.locator("canvas")).toHaveCount(6);
  await page.getByRole("button", { name: "1 hour" }).click();
  await expect(page).toHaveURL(/vertex=2&window=1h/);
});

test("settings are found by their words, and secrets stay redacted", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/configuration");
  await expect(page.getByText("[redacted]")).toBeVisible();
  await page.getByLabel("Find a setting").fill("interval");
  await expect(page.getByRole("rowheader")).toHaveText(["interval"]);
  await expect(page.getByText("revenue per shop, 5 min windows x8")).toBeVisible();
  await expect(page.getByRole("row", { name: "orders-taskmanager-0 10.0.3.20 7 4 of 4" })).toBeVisible();
});
