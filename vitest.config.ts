/**
 * Four projects: what runs in Node; the edge, which runs in workerd; whole tunnels, one file at a time, because they
 * measure time and memory; and, when they are installed, what others wrote (`test/interop/`, `examples/`).
 */
import { existsSync } from "node:fs";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** They have lock files of their own, so that the product's stays short. */
const interop = ["test/interop", "examples/graphql"].every((folder) =>
  existsSync(new URL(`${folder}/node_modules`, import.meta.url)),
);
if (!interop) {
  process.stderr.write(
    "test/interop is skipped: `npm run interop:install` brings what it runs (.ci/run does so)\n",
  );
}

export default defineConfig({
  test: {
    // The edge's log is its console.
    silent: "passed-only",
    projects: [
      {
        test: {
          name: "node",
          include: [
            "test/*.test.ts",
            "test/{codec,agent,bench,deploy,docs,simulation}/**/*.test.ts",
          ],
          pool: "forks",
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          pool: "forks",
          testTimeout: 30_000,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      ...(interop
        ? [
            {
              test: {
                name: "interop",
                include: ["test/interop/*.test.ts"],
                setupFiles: ["test/interop/localhost.ts"],
                pool: "forks" as const,
                testTimeout: 30_000,
                maxWorkers: 1,
                sequence: { groupOrder: 2 },
              },
            },
          ]
        : []),
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              analyticsEngineDatasets: { REQUESTS: { dataset: "sluice_requests" } },
              bindings: {
                TUNNEL_SECRET: "a secret for tests, as long as it has to be",
                TUNNEL_DOMAIN: "tunnel.test",
                // Tests wait for its end.
                GRACE_SECONDS: "1",
              },
            },
          }),
        ],
        test: { name: "edge", include: ["test/edge/**/*.test.ts"], testTimeout: 30_000 },
      },
    ],
  },
});
