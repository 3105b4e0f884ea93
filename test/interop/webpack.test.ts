/**
 * webpack-dev-server: its pages by both kinds of URL without a setting, and its hot update in a real Chromium. It wants
 * `Host` and `Origin` to be of one name for that: its own, as a server has it that the agent starts, or the visitor's.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { webpack } from "webpack";
import WebpackDevServer from "webpack-dev-server";
import { Visitor } from "../support/raw-http.ts";
import { chromiumPath } from "./chromium.ts";
import { useBrowser } from "./use-browser.ts";
import { type Served, useWays } from "./ways.ts";

/** A module that takes its own successor's place, and says how often the page was loaded. */
const main = (tea: string): string => `
  window.loads ??= Math.random();
  document.title = ${JSON.stringify(tea)};
  module.hot.accept();
`;

/** A dev server with nothing set but where it listens. `folders` gets the folder of its module. */
async function serve(folders: string[]): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-webpack-"));
  folders.push(folder);
  await writeFile(join(folder, "main.js"), main("green"));
  await mkdir(join(folder, "public"));
  await writeFile(join(folder, "public", "index.html"), '<script src="main.js"></script>');
  const compiler = webpack({
    mode: "development",
    context: folder,
    entry: "./main.js",
    stats: "none",
    infrastructureLogging: { level: "none" },
  });
  const options = {
    // Told where to listen it would also tell its pages that it is there. Told nothing, it listens everywhere.
    host: "127.0.0.1",
    client: { webSocketURL: "auto://0.0.0.0:0/ws", logging: "info" as const },
    port: "auto",
    static: join(folder, "public"),
  };
  const server = new WebpackDevServer(options, compiler);
  await server.start();
  const address = server.server?.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  return {
    port: address.port,
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe("webpack-dev-server", () => {
  const ways = useWays(() => serve([]));

  test("turns away who comes by a name that it does not know, and lets the tunnel in whatever the visitor's name is", async () => {
    const host = "shop.example.com";
    const { port } = new URL(ways.direct);
    const direct = await Visitor.ask({ port: Number(port), host, prefix: "" }, { target: "/" });
    expect([direct.status, direct.body.toString()]).toEqual([403, "Invalid Host header"]);
    const place = { port: ways.edge.port, host, prefix: "/send/api" };
    const through = await Visitor.ask(place, { target: "/" });
    expect([through.status, through.body.toString()]).toEqual([
      200,
      '<script src="main.js"></script>',
    ]);
  });
});

describe.skipIf(chromiumPath === undefined).each([
  ["--no-public-name", ["--no-public-name"]],
  ["--host-header", ["--host-header", "api.localhost"]],
])("in Chromium, webpack-dev-server behind %s", (_name, flags) => {
  const onPage = useBrowser();
  const folders: string[] = [];
  const ways = useWays(() => serve(folders), flags);

  test("brings a change to the open page, without a reload", async () => {
    await onPage(`${ways.host}/`, async (page) => {
      // What the page that `onPage` has opened says late must not be taken for the word of the next one.
      await page.goto("about:blank");
      const connected = page.waitForEvent("console", (message) =>
        /webpack-dev-server. connected/.test(message.text()),
      );
      await page.goto(`${ways.host}/`);
      await connected;
      await page.waitForFunction(() => document.title === "green");
      const first = await page.evaluate("window.loads");
      await writeFile(join(folders[0] ?? "", "main.js"), main("black"));
      await page.waitForFunction(() => document.title === "black");
      expect(await page.evaluate("window.loads")).toBe(first);
    });
  });
});
