/**
 * `agent connect -- next dev`, as a new app has it (App Router, Turbopack, no setting): in a real Chromium, by both kinds of
 * URL and by names that Next does not know, its development resources come, a change arrives without a reload, and a
 * server action is taken.
 *
 * The names are none of this machine's on purpose: those below `localhost` Next lets in anyway.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Program, root } from "../support/program.ts";
import { Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";
import { poll } from "../support/until.ts";
import { chromiumPath } from "./chromium.ts";
import { useBrowser } from "./use-browser.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const next = join(here, "node_modules/next/dist/bin/next");

/** Two cores compile the first page for long. */
const COMPILE_MS = 120_000;

/** Neither the telemetry, nor the question whether there is a newer Next, which no setting turns off. */
const alone = {
  NEXT_TELEMETRY_DISABLED: "1",
  NEXT_IGNORE_INCORRECT_LOCKFILE: "1",
  NODE_USE_ENV_PROXY: "1",
  HTTPS_PROXY: "http://127.0.0.1:9",
};

/** A component that counts: a reload would make it begin again. */
const tea = (kind: string): string => `
  "use client";
  import { useEffect, useState } from "react";
  export function Tea() {
    const [cups, setCups] = useState(0);
    useEffect(() => { document.title = "awake"; }, []);
    return <p onClick={() => setCups(cups + 1)}>{cups} cups of ${kind}</p>;
  }
`;

const page = `
  import { redirect } from "next/navigation";
  import { Tea } from "./tea.jsx";
  async function pour() {
    "use server";
    redirect("/poured");
  }
  export default function Page() {
    return <><Tea /><form action={pour}><button>pour</button></form></>;
  }
`;

const layout = `
  export default function Layout({ children }) {
    return <html><body>{children}</body></html>;
  }
`;

/** In this folder, because Turbopack leaves its root for nothing: Next must be in it, and all that its tsconfig.json extends. */
async function newApp(basePath: string): Promise<string> {
  const folder = await mkdtemp(join(here, ".next-"));
  const files = {
    "next.config.mjs": `export default ${JSON.stringify({ basePath, turbopack: { root } })};`,
    "app/layout.jsx": layout,
    "app/page.jsx": page,
    "app/tea.jsx": tea("green"),
    "app/poured/page.jsx": "export default () => <p>poured</p>;",
  };
  await mkdir(join(folder, "app/poured"), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

describe.skipIf(chromiumPath === undefined).each([
  ["by a host name", "", (port: number) => `http://shop.tunnel.test:${port}`],
  [
    "below a prefix that --path gives back",
    "/send/shop",
    (port: number) => `http://sluice.test:${port}/send/shop`,
  ],
])("in Chromium, next dev %s", (_way, basePath, urlAt) => {
  const onPage = useBrowser();
  let edge: Edge;
  let folder: string;
  let agent: Program;
  let url: string;

  beforeAll(async () => {
    edge = await Edge.start(["--domain", "tunnel.test"]);
    url = urlAt(edge.port);
    folder = await newApp(basePath);
    const token = join(edge.directory, "token");
    await writeFile(token, await edge.token({ service: "shop" }));
    const to = ["--edge", edge.url, "--service", "shop", "--token-file", token, "--json"];
    const path = basePath === "" ? [] : ["--path", basePath];
    const command = [process.execPath, next, "dev", folder, "-H", "127.0.0.1", "-p", "0"];
    agent = Program.agent(["connect", ...to, ...path, "--", ...command], { env: alone });
    await agent.event("connected", undefined, 0, COMPILE_MS);
  }, COMPILE_MS);

  afterAll(async () => {
    await agent.stop();
    await edge.stop();
    await rm(folder, { recursive: true, force: true });
  }, COMPILE_MS);

  test(
    "brings its pages, a change to the open one without a reload, and takes its actions; nothing is blocked",
    async () => {
      await onPage("about:blank", async (page) => {
        const refused: string[] = [];
        page.on("response", (answer) => {
          // The font of its own overlay it looks for outside of its base path.
          if (answer.status() >= 400 && !answer.url().includes("/__nextjs_font/"))
            refused.push(`${answer.status()} ${answer.url()}`);
        });
        const connected = page.waitForEvent("console", {
          predicate: (message) => message.text().includes("[HMR] connected"),
          timeout: COMPILE_MS,
        });
        await page.goto(url, { timeout: COMPILE_MS });
        await page.waitForFunction(() => document.title === "awake", undefined, {
          timeout: COMPILE_MS,
        });
        await page.click("p");
        await page.waitForSelector("text=1 cups of green");
        await connected;

        // Again, if need be: Next does not say from when on it watches for this page.
        let saved = 0;
        await poll(
          async () => {
            await writeFile(join(folder, "app/tea.jsx"), `${tea("black")}// ${saved++}\n`);
            return (await page.textContent("p")) === "1 cups of black";
          },
          "the page with the change",
          COMPILE_MS,
          2000,
        );

        await page.click("button");
        await page.waitForURL(`${url}/poured`, { timeout: COMPILE_MS });
        await page.waitForSelector("text=poured");
        expect(refused).toEqual([]);
      });
      expect(agent.stderr).not.toContain("Blocked cross-origin request");
    },
    2 * COMPILE_MS,
  );

  test("turns away who names another site, directly and through the tunnel, so that it is no luck that its own pages pass", async () => {
    const { host, pathname } = new URL(url);
    const prefix = pathname === "/" ? "" : pathname;
    const listening = /listens on http:\/\/localhost:(\d+)/.exec(agent.stderr)?.[1];
    const target = "/_next/static/chunks/none.js";
    const ask = async (port: number, name: string, origin: string): Promise<number> => {
      const place = { port, host: name, prefix };
      return (await Visitor.ask(place, { target, fields: [["origin", origin]] })).status;
    };
    expect({
      directly: await ask(Number(listening), host, `http://${host}`),
      ofAnother: await ask(edge.port, host, "http://evil.example"),
      ofItsOwn: await ask(edge.port, host, `http://${host}`),
    }).toEqual({ directly: 403, ofAnother: 403, ofItsOwn: 404 });
  });
});
