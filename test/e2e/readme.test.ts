/**
 * Every command of the README, run as it stands there but for ports, file names and the newcomer's own Cloudflare account.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Program, root } from "../support/program.ts";
import { poll } from "../support/until.ts";

const START_MS = 60_000;

/** The fenced shell blocks below each heading. */
function shellBlocks(markdown: string): Map<string, string[]> {
  const blocks = new Map<string, string[]>();
  let heading = "";
  for (const [, title, block] of markdown.matchAll(/^#+ (.+)$|^```sh\n([^]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    else if (block !== undefined) blocks.set(heading, [...(blocks.get(heading) ?? []), block]);
  }
  return blocks;
}

const blocks = shellBlocks(readFileSync(join(root, "README.md"), "utf8"));

function block(heading: string, index = 0): string {
  const found = blocks.get(heading)?.[index];
  if (found === undefined) throw new Error(`README: no shell block ${index} under "${heading}"`);
  return found;
}

/** A port that was free a moment ago: the README's commands name theirs. */
async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("has no shell block that is not tested here", () => {
  expect([...blocks.keys()]).toEqual([
    "In 30 seconds",
    "Your own server",
    "Deploy to Cloudflare",
    "When it does not work",
  ]);
  // The test of `npm start` runs this one, CI runs its first half.
  expect(block("In 30 seconds")).toBe("npm ci && npm start\n");
});

describe("the curl commands after `npm start`", () => {
  let started: Program;
  let origin = "";

  beforeAll(async () => {
    started = Program.start("npm", ["start"], { env: { PORT: "0" }, group: true });
    const [url] = await started.line(/^http:\/\/\S+\/send\/demo\/$/, START_MS);
    origin = new URL(url).origin;
  }, START_MS);

  afterAll(async () => {
    if (!started.ended) started.interrupt();
    await started.stop();
  });

  const commands = block("In 30 seconds", 1).trim().split("\n");

  test.each(commands)("%s", async (command) => {
    const here = command.replaceAll("http://127.0.0.1:8787", origin);
    // What never ends by itself is stopped after two seconds; the rest has to end well.
    const endless = /events|echo/.test(command);
    const input = command.includes("echo") ? "printf 'typed\\n' | " : "";
    const limited = endless ? here.replace("curl", "curl --max-time 2.5") : here;
    const ran = Program.start("bash", ["-c", `${input}${limited}`]);
    const { code } = await ran.exit(START_MS);
    const printed = ran.lines.join("\n");
    if (command.includes("events")) {
      expect([code, printed]).toEqual([28, expect.stringContaining("event: tick")]);
    } else {
      expect(code).toBe(0);
      if (command.includes("echo")) expect(printed).toContain("typed");
      else if (command.includes("download")) expect(printed).toBe("");
      else expect(JSON.parse(printed)).toMatchObject({ path: "/" });
    }
  });
});

describe("your own server", () => {
  let shop: Server;
  let folder = "";
  let script: Program;
  let port = 0;

  /** Commands as a reader types them, but for ports and files. */
  const here = (commands: string): string =>
    commands
      .replaceAll("8787", String(port))
      .replaceAll("4000", String((shop.address() as AddressInfo).port))
      .replaceAll(/\b(tunnel\.secret|shop\.token)\b/g, (name) => join(folder, name));

  afterAll(async () => {
    script.interrupt();
    await script.exit();
    shop.close();
    rmSync(folder, { recursive: true });
  });

  test(
    "answers through the tunnel after the commands were run",
    async () => {
      shop = createServer((request, response) => response.end(`shop: ${request.url}`));
      await new Promise<void>((resolve) => shop.listen(0, "127.0.0.1", resolve));
      folder = mkdtempSync(join(tmpdir(), "sluice-readme-"));
      port = await freePort();
      script = Program.start("bash", ["-c", here(block("Your own server"))], { group: true });
      const url = `http://127.0.0.1:${port}/send/shop/products?page=2`;
      const text = await poll(
        async () => {
          const answer = await fetch(url).catch(() => undefined);
          return answer?.ok === true && answer.text();
        },
        "an answer of the shop",
        START_MS,
      );
      expect(text).toBe("shop: /products?page=2");
    },
    START_MS,
  );

  test(
    "is found in good health by the doctor",
    async () => {
      const doctor = Program.start("bash", ["-c", here(block("When it does not work"))]);
      const { code } = await doctor.exit(START_MS);
      expect(doctor.lines.join("\n")).not.toContain("FAIL");
      expect(code).toBe(0);
    },
    START_MS,
  );
});

test(
  "what is deployed bundles and passes wrangler's checks",
  () => {
    const commands = block("Deploy to Cloudflare");
    // Without an account these can only be read: each is a subcommand that exists, with the file that the block above makes.
    for (const line of [
      "npx wrangler login",
      "npx wrangler secret put TUNNEL_SECRET < tunnel.secret",
      "npm run deploy",
    ]) {
      expect(commands).toContain(line);
    }
    const wrangler = join(root, "node_modules/.bin/wrangler");
    const output = execFileSync(
      join(root, "node_modules/.bin/node"),
      [wrangler, "deploy", "--dry-run"],
      {
        cwd: root,
        encoding: "utf8",
        env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "true" },
      },
    );
    expect(output).toMatch(/CORRELATOR/);
    const kibibytes = /Total Upload: ([\d.]+) KiB/.exec(output)?.[1];
    expect(Number(kibibytes), "a Worker that starts fast").toBeLessThan(400);
  },
  START_MS,
);
