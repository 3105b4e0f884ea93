/**
 * Three projects: what runs in Node; the edge, which runs in workerd; and whole tunnels, which come last and one file at
 * a time, because they measure time and memory.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "node",
          include: ["test/*.test.ts", "test/{codec,agent,bench,simulation}/**/*.test.ts"],
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
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                TUNNEL_SECRET: "a secret for tests, as long as it has to be",
                TUNNEL_DOMAIN: "tunnel.test",
                // Tests wait for its end.
                GRACE_SECONDS: "1",
              },
            },
          }),
        ],
        test: { name: "edge", include: ["test/edge/**/*.test.ts"], testTimeout: 10_000 },
      },
    ],
  },
});
