import { expect, open, test } from "./served.ts";

test("the list tells what is wrong, and is filtered by state and by words", async ({ page, served }) => {
  await open(page, served);
  const rows = page.getByRole("row");
  await expect(page.getByRole("link", { name: "orders", exact: true })).toBeVisible();
  await expect(page.getByText("The job failed 10 times within 10 minutes")).toBeVisible();
  await expect(page.getByText("100 are shown")).toBeVisible();
  await page.getByRole("button", { name: /^Failed/ }).click();
  await expect(page).toHaveURL(/state=Failed/);
  await expect(rows).toHaveCount(2);
  await page.getByRole("button", { name: /^All/ }).click();
  await page.keyboard.press("/");
  await page.keyboard.type("invoices");
  await expect(rows).toHaveCount(2);
  await expect(page.getByRole("link", { name: "invoices" })).toBeVisible();
  await page.getByLabel("Search jobs").fill("nothing like it");
  await expect(page.getByText("No job is like that.")).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("Search jobs")).toHaveValue("nothing like it");
});

test("headings sort, and say so", async ({ page, served }) => {
  await open(page, served);
  await page.getByRole("button", { name: "Restarts" }).click();
  await expect(page.getByRole("columnheader", { name: "Restarts" })).toHaveAttribute("aria-sort", "descending");
  await expect(page.getByRole("row").nth(1)).toContainText("fraud");
});

test("a token is exchanged for a session", async ({ page, served }) => {
  served.fake.session = { ...served.fake.session, loggedIn: false, user: null };
  await open(page, served);
  await page.getByLabel("Token").fill("bad");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert")).toHaveText("This token is not known (any more).");
  await page.getByLabel("Token").fill("good");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("link", { name: "orders", exact: true })).toBeVisible();
});

test("when the service is gone the page says so, keeps what it knows, and goes on when it is back", async ({ page, served }) => {
  await open(page, served);
  await expect(page.getByRole("link", { name: "orders", exact: true })).toBeVisible();
  served.fake.gone = true;
  await expect(page.getByText("The service does not answer: it is looked for again.")).toBeVisible();
  await expect(page.getByRole("link", { name: "orders", exact: true })).toBeVisible();
  served.fake.gone = false;
  await page.getByRole("button", { name: "Try now" }).click();
  await expect(page.getByText("The service does not answer")).toBeHidden();
});

test("a job that is not there is one sentence and a way back", async ({ page, served }) => {
  await open(page, served, "#/jobs/shop/none/graph");
  await expect(page.getByRole("alert")).toContainText("There is no job shop/none, or you may not see it.");
  await page.getByRole("link", { name: "All jobs", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Jobs" })).toBeVisible();
});
