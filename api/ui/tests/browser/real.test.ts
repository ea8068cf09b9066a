/* A real job in processes of its own, served by `flowjob run --web`: the page shows it and steers it. */
import { expect, test } from "@playwright/test";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../../../..");
const FLOWJOB = process.env["FLOWJOB"] ?? join(ROOT, ".venv/bin/flowjob");
const folder = mkdtempSync(join(tmpdir(), "flowjob-page-"));
let job: ChildProcess;
let url = "";
let said = "";

function freePort(): Promise<number> {
  return new Promise((found) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => found(port));
    });
  });
}

test.describe.configure({ mode: "serial" });
test.setTimeout(300_000);
const patient = { timeout: 120_000 };

test.beforeAll(async () => {
  expect(existsSync(FLOWJOB), `${FLOWJOB}: make setup installs it`).toBe(true);
  const port = await freePort();
  url = `http://127.0.0.1:${port}/`;
  const program = join(import.meta.dirname, "clicks.py");
  const options = ["--web", `127.0.0.1:${port}`, "-p", "2", "--no-progress", "--checkpoint-interval", "2s", "-a", `failed=${join(folder, "failed")}`];
  job = spawn(FLOWJOB, ["run", program, ...options], { cwd: folder, stdio: "pipe" });
  for (const stream of [job.stdout!, job.stderr!]) stream.on("data", (data: Buffer) => (said += String(data)));
  await expect.poll(() => said, patient).toContain(url);
});

test.afterAll(async () => {
  if (job.exitCode === null) {
    job.kill("SIGTERM");
    await new Promise((ended) => job.once("exit", ended));
  }
  rmSync(folder, { recursive: true, force: true });
});

test("the list leads to the job, whose figures move", async ({ page }) => {
  await page.goto(url);
  await page.getByRole("link", { name: "clicks", exact: true }).click();
  await expect(page.locator(".node").first()).toContainText("read clicks", patient);
  await expect(page.locator("dt:text-is('In') + dd")).toHaveText(/^[1-9].* rows\/s$/, patient);
  await page.locator(".node").first().click();
  const panel = page.getByRole("complementary");
  await expect(panel.getByText("taskmanager-1").first()).toBeVisible(patient);
  await expect(panel.getByText("Watermark")).toBeVisible();
});

test("checkpoints are complete, with each subtask's part", async ({ page }) => {
  await page.goto(`${url}#/jobs/local/clicks/checkpoints`);
  await page.getByRole("row").filter({ hasText: "Completed" }).first().getByRole("button").click();
  const detail = page.getByRole("region", { name: /^Checkpoint \d/ });
  await detail.getByRole("button", { name: /read clicks/ }).click();
  await expect(detail.getByRole("button", { name: "Stood still" })).toBeVisible();
});

test("the failure is told with the user's frames, and the job has restarted", async ({ page }) => {
  await page.goto(`${url}#/jobs/local/clicks/exceptions`);
  await expect(page.getByText("ZeroDivisionError: there is no such page").first()).toBeVisible(patient);
  await expect(page.getByText("the job restarted").first()).toBeVisible();
  await expect(page.getByText(/clicks\.py", line \d+, in look/).first()).toBeVisible();
  await expect(page.locator("dt:text-is('Restarts') + dd")).toHaveText("1", patient);
});

test("what the job prints is in its log", async ({ page }) => {
  await page.goto(`${url}#/jobs/local/clicks/logs`);
  await page.getByLabel("Search the log").fill("seen 400 clicks");
  await expect(page.getByRole("log").getByRole("button", { name: /stdout.*seen 400 clicks/ }).first()).toBeVisible(patient);
  await page.getByLabel("Search the log").fill("the job is running");
  await expect(page.getByRole("log").getByRole("button").first()).toContainText("the job is running");
});

test("metrics, settings and plan are there", async ({ page }) => {
  await page.goto(`${url}#/jobs/local/clicks/metrics`);
  await expect(page.getByRole("img", { name: /^Rows per second/ })).toBeVisible();
  await page.goto(`${url}#/jobs/local/clicks/configuration`);
  await expect(page.getByRole("rowheader", { name: "parallelism", exact: true })).toBeVisible();
  await expect(page.locator("pre")).toContainText("look closely");
});

test("a savepoint is taken, listed, and the parallelism changed", async ({ page }) => {
  await page.goto(`${url}#/jobs/local/clicks/graph`);
  await page.getByRole("button", { name: "Savepoint" }).click();
  await page.getByLabel("Name of the savepoint").fill("by-hand");
  await page.getByRole("button", { name: "Take savepoint" }).click();
  await expect(page.getByText(/Savepoint is complete: .*by-hand/)).toBeVisible(patient);
  await page.getByRole("link", { name: "Snapshots" }).first().click();
  await expect(page.getByRole("cell", { name: /^by-hand/ })).toBeVisible();
  await page.getByRole("button", { name: "Scale" }).click();
  await page.getByLabel("Parallelism").fill("1");
  await page.getByRole("button", { name: "Change parallelism" }).click();
  await expect(page.getByText("Parallelism is changed")).toBeVisible(patient);
  await expect(page.locator("dt:text-is('Parallelism') + dd")).toHaveText("1", patient);
});

test("cancelled, the job ends, and the page says that nobody answers any more", async ({ page }) => {
  await page.goto(`${url}#/jobs/local/clicks/graph`);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByLabel(/Type clicks to go on/).fill("clicks");
  await page.getByRole("button", { name: "Cancel the job" }).click();
  await expect.poll(() => job.exitCode ?? job.signalCode, patient).not.toBeNull();
  await expect(page.getByText("The service does not answer: it is looked for again.").first()).toBeVisible();
});
