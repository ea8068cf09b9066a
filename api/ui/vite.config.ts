/* How the page is built: relative addresses only, so that it works below any path; nothing inline, so that a strict
   Content-Security-Policy holds. `npm run dev` answers the service's routes from tests/fake. */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";
import { fakeService } from "./tests/fake/service.ts";

function fake(): Plugin {
  return {
    name: "fake-service",
    apply: "serve",
    configureServer(server) {
      const service = fakeService();
      server.middlewares.use((request, response, next) => {
        if (!service.handle(request, response)) next();
      });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [svelte(), fake()],
  build: {
    outDir: "../flowjob_api/static",
    emptyOutDir: true,
    target: ["chrome123", "firefox128", "safari17.5"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  test: { include: ["tests/unit/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
