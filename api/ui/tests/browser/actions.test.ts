import { expect, open, test } from "./served.ts";

test("a savepoint is asked for from the keyboard, and told when it is complete", async ({ page, served }) => {
  served.fake.holds = true;
  await open(page, served, "#/jobs/shop/orders/graph");
  await expect(page.getByRole("button", { name: "Savepoint" })).toBeVisible();
  await page.keyboard.press("s");
  const dialog = page.getByRole("dialog", { name: "Savepoint of orders" });
  await expect(dialog).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await page.keyboard.press("s");
  await page.keyboard.type("before-lunch");
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await expect(page.getByText(/Savepoint is being taken/)).toBeVisible();
  served.fake.holds = false;
  await expect(page.getByText("Savepoint is complete")).toBeVisible();
  expect(served.fake.asked).toEqual([{ method: "POST", path: "jobs/shop/orders/savepoints", body: { name: "before-lunch" } }]);
});

test("a name that cannot be is not sent", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: "Savepoint" }).click();
  await page.getByLabel("Name of the savepoint").fill("Before Lunch");
  await page.getByRole("button", { name: "Take savepoint" }).click();
  await expect(page.getByRole("dialog")).toBeVisible();
  expect(served.fake.asked).toEqual([]);
});

test("cancelling needs the job's name", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const go = page.getByRole("button", { name: "Cancel the job" });
  await expect(go).toBeDisabled();
  await page.getByLabel(/Type orders to go on/).fill("orders");
  await go.click();
  await expect(page.getByText("Job is cancelled")).toBeVisible();
  expect(served.fake.asked.map((one) => one.path)).toEqual(["jobs/shop/orders/cancel"]);
});

test("what the service refuses is said in the dialog, which stays, with a way on", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: "Scale" }).click();
  await page.getByLabel("Parallelism").fill("99");
  await page.getByRole("button", { name: "Change parallelism" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("alert")).toContainText("Spec.job.parallelism belongs to argocd: change it there, or ask with force=true.");
  await dialog.getByLabel("Take job.parallelism over from argocd.").check();
  await page.getByRole("button", { name: "Change parallelism" }).click();
  await expect(dialog).toBeHidden();
});

test("an upgrade shows first what would happen to fields and state", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: "Upgrade" }).click();
  const dialog = page.getByRole("dialog", { name: "Upgrade orders" });
  const go = dialog.getByRole("button", { name: "Upgrade", exact: true });
  await expect(go).toBeDisabled();
  await dialog.getByLabel("Parallelism").fill("16");
  await dialog.getByLabel("Arguments of the program").fill("window=10m");
  await dialog.getByRole("button", { name: "Show what would happen" }).click();
  await expect(dialog.getByText("Can be done")).toBeVisible();
  await expect(dialog.getByRole("row", { name: "join rates rates-join Redistributed 8 → 16 412 MB dealt out anew by its keys" })).toBeVisible();
  await expect(dialog.getByRole("row", { name: /^dedupe Dropped 88.0 MB it would be left behind$/ })).toBeVisible();
  await dialog.getByLabel("Parallelism").fill("12");
  await expect(go).toBeDisabled();
  await dialog.getByRole("button", { name: "Show what would happen" }).click();
  await go.click();
  await expect(dialog).toBeHidden();
  expect(served.fake.asked.at(-1)).toEqual({ method: "POST", path: "jobs/shop/orders/upgrade", body: { parallelism: 12, args: { window: "10m" } } });
});

test("an upgrade that cannot be says why, and cannot be asked for", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/graph");
  await page.getByRole("button", { name: "Upgrade" }).click();
  await page.getByLabel("Parallelism").evaluate((input: HTMLInputElement) => (input.max = "999"));
  await page.getByLabel("Parallelism").fill("300");
  await page.getByRole("button", { name: "Show what would happen" }).click();
  await expect(page.getByText("The parallelism is above maxParallelism (128).")).toBeVisible();
  await expect(page.getByRole("button", { name: "Upgrade", exact: true }).last()).toBeDisabled();
});

test("a snapshot in use cannot be deleted, another one after a question", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/snapshots");
  await expect(page.getByRole("button", { name: "Delete monday" })).toBeDisabled();
  await page.getByRole("button", { name: "Delete before-upgrade" }).click();
  await expect(page.getByRole("button", { name: "Leave it" })).toBeFocused();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await expect(page.getByText("Snapshot is deleted")).toBeVisible();
  expect(served.fake.asked).toEqual([{ method: "DELETE", path: "jobs/shop/orders/snapshots/before-upgrade", body: {} }]);
});

test("going back to a snapshot needs the job's name", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/orders/snapshots");
  await page.getByRole("button", { name: "Go back to before-upgrade" }).click();
  const go = page.getByRole("dialog").getByRole("button", { name: "Go back" });
  await expect(go).toBeDisabled();
  await page.getByLabel(/Type orders to go on/).fill("orders");
  await go.click();
  await expect(page.getByText("Job goes on from the snapshot")).toBeVisible();
  expect(served.fake.asked).toEqual([{ method: "POST", path: "jobs/shop/orders/restore", body: { snapshot: "before-upgrade" } }]);
});

test("only what can be asked of a job now is offered", async ({ page, served }) => {
  await open(page, served, "#/jobs/web/invoices/graph");
  await expect(page.getByRole("group", { name: "Actions" }).getByRole("button")).toHaveText(["Resume", "Cancel"]);
});
