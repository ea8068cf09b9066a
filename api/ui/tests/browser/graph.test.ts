import { expect, open, test } from "./served.ts";

test("the graph says what holds a job up, and each finding leads to its vertex", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: /Bottleneck enrich with rates is 99 % busy/ }).click();
  const panel = page.getByRole("complementary", { name: "Vertex enrich with rates" });
  await expect(panel).toContainText("Held back by read exchange rates, subtask 1: the next input is 1 min 12 s ahead.");
  await expect(panel).toContainText("subtask 5 has 2.4 times the mean");
  await expect(page).toHaveURL(/vertex=2/);
  await page.keyboard.press("Escape");
  await expect(panel).toBeHidden();
  await expect(page.locator('[data-vertex="2"]')).toBeFocused();
});

test("cards say all they show in words, and arrow keys go along the edges", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: /read exchange rates, 2 subtasks, idle: busy 1 %/ }).focus();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("button", { name: /enrich with rates, 8 subtasks, busy: busy 97 %.*Time is held back by read exchange rates/ })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("complementary")).toBeVisible();
  await expect(page.getByRole("complementary").getByRole("heading", { name: "enrich with rates" })).toBeFocused();
});

test("the table has the same figures, for those who do not see the drawing", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: "Table" }).click();
  await page.getByRole("button", { name: "Back-pressured", exact: true }).click();
  await expect(page.getByRole("row").nth(1)).toContainText("read orders from topic");
  await page.getByLabel("Find a vertex").fill("warehouse");
  await expect(page.getByRole("row")).toHaveCount(2);
});

test("200 vertices of 128 subtasks are drawn at once, and only what is in sight", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/large/graph");
  await expect(page.locator(".node")).toHaveCount(200);
  await page.getByLabel("Find a vertex").fill("step 4.7");
  await page.keyboard.press("Enter");
  const panel = page.getByRole("complementary", { name: "Vertex step 4.7" });
  await expect(panel.getByText("128 Running")).toBeVisible();
  const region = panel.getByRole("region", { name: "Subtasks" });
  await expect(region.getByRole("row").nth(3)).toBeVisible();
  expect(await region.getByRole("row").count()).toBeLessThan(60);
  await region.evaluate((box) => box.scrollTo(0, box.scrollHeight));
  await expect(region.getByRole("cell", { name: "127", exact: true })).toBeVisible();
  expect(await page.locator("*").count()).toBeLessThan(6000);
  const tookMs = await page.evaluate(async () => {
    const began = performance.now();
    const frame = document.querySelector(".frame[role=group]")!;
    for (let step = 0; step < 20; step += 1) {
      frame.dispatchEvent(new WheelEvent("wheel", { deltaY: step % 2 ? 40 : -40, clientX: 300, clientY: 400, bubbles: true, cancelable: true }));
      await new Promise((done) => requestAnimationFrame(done));
    }
    return performance.now() - began;
  });
  test.info().annotations.push({ type: "20 zooms", description: `${Math.round(tookMs)} ms` });
});

test("figures come by themselves", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await expect(page.getByText("checkpoint 411 is complete")).toBeVisible();
});
