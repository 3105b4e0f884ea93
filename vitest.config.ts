/** Two projects: what runs in Node, and the edge, which runs in workerd. */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "node",
          include: ["test/{codec,agent,e2e}/**/*.test.ts"],
          pool: "forks",
          testTimeout: 30_000,
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
              },
            },
          }),
        ],
        test: { name: "edge", include: ["test/edge/**/*.test.ts"], testTimeout: 10_000 },
      },
    ],
  },
});
