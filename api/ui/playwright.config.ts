/* The page in a real Chromium: FLOWJOB_CHROMIUM, Debian's or Google's; `make ui-test` installs Debian's where there is none. */
import { defineConfig } from "@playwright/test";
import { existsSync } from "node:fs";

const INSTALLED = ["/usr/bin/chromium", "/usr/bin/google-chrome"];
const chromium = process.env["FLOWJOB_CHROMIUM"] ?? INSTALLED.find((path) => existsSync(path));

export default defineConfig({
  testDir: "tests/browser",
  outputDir: "../../build/ui-test",
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: "line",
  use: {
    viewport: { width: 1440, height: 900 },
    timezoneId: "UTC",
    locale: "en-GB",
    contextOptions: { reducedMotion: "reduce" },
    launchOptions: { executablePath: chromium, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] },
  },
});
