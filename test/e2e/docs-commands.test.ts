/**
 * The commands of docs/ that ask a running tunnel, run as they stand there but for ports, hosts and file names. Those of
 * the README, of self-hosting and of deploying have tests of their own; what cannot be run here stands in `elsewhere`.
 */
import { rename } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fencesOf, read } from "../docs/markdown.ts";
import { Program } from "../support/program.ts";
import { Edge } from "../support/tunnel.ts";

const START_MS = 60_000;

/** By page, which commands are run elsewhere, and where. */
const elsewhere: Readonly<Record<string, string>> = {
  "deploy.md":
    "test/deploy runs `npm run deploy` against a stand-in for Cloudflare's API; the README's test runs the rest",
  "self-hosting.md":
    "test/docs/self-hosting.test.ts, which names what needs systemd, Docker or a public name",
  "maintaining.md":
    "they run tests, simulation, soak and benchmark: CI does, and a soak takes ten minutes",
};

/** Single lines of other pages that are not run here, and why. */
const notHere: readonly (readonly [page: string, begins: string, why: string])[] = [
  [
    "secret-rotation.md",
    "printf",
    "it needs an account; test/edge/auth.test.ts has the two secrets",
  ],
  ["secret-rotation.md", "npx wrangler secret delete", "it needs an account"],
  ["status-and-metrics.md", 'curl "https://api.cloudflare.com', "it needs an account"],
  [
    "status-and-metrics.md",
    '-H "authorization: Bearer $API_TOKEN"',
    "the same command's second line",
  ],
  ["status-and-metrics.md", "agent connect --metrics", "test/e2e/metrics.test.ts"],
  ["status-and-metrics.md", "curl http://127.0.0.1:9090/metrics", "test/e2e/metrics.test.ts"],
  ["status-and-metrics.md", "agent ready", "test/e2e/metrics.test.ts"],
  ["library.md", "npm install ./sluice", "test/e2e/package.test.ts"],
];

let shop: Server;
let edge: Edge;
let inspector: URL;

beforeAll(async () => {
  shop = createServer((_request, response) => response.end("from the shop"));
  await new Promise<void>((resolve) => shop.listen(0, "127.0.0.1", resolve));
  edge = await Edge.start();
  const { port } = shop.address() as AddressInfo;
  const agent = await edge.agent({ service: "shop", port, flags: ["--inspect-port", "0"] });
  inspector = new URL(String((await agent.event("inspector"))["url"]));
  await rename(join(edge.directory, "secret"), join(edge.directory, "tunnel.secret"));
}, START_MS);

afterAll(async () => {
  await edge.stop();
  shop.close();
});

/** A command as its reader types it, in a folder with the files that it names. */
function here(command: string): string {
  const { port } = shop.address() as AddressInfo;
  return command
    .replaceAll(/https:\/\/edge\.example|http:\/\/127\.0\.0\.1:8787/g, edge.url)
    .replaceAll("http://127.0.0.1:4040", inspector.origin)
    .replace(/(?<=sluice-inspector-token: )[\w-]+/, inspector.searchParams.get("t") ?? "")
    .replaceAll(":4000", `:${port}`)
    .replaceAll(/\b(?:tunnel\.secret|shop\.token)\b/g, (name) => join(edge.directory, name));
}

async function run(command: string): Promise<string> {
  const ran = Program.start("bash", ["-c", here(command)]);
  const { code } = await ran.exit(START_MS);
  expect(code, ran.stderr).toBe(0);
  return ran.lines.join("\n");
}

const tokenForm = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** In this order: the first makes the token that others read. */
const commands: readonly (readonly [page: string, begins: string, says: RegExp])[] = [
  ["security.md", "npx agent token --service shop --secret-file", /^$/],
  ["security.md", "npx agent token --service shop --role visitor", tokenForm],
  ["troubleshooting.md", "curl -si http://127.0.0.1:4000/", /^HTTP\/1\.1 200 OK[^]*from the shop$/],
  [
    "troubleshooting.md",
    "curl -si http://127.0.0.1:8787/send/shop/",
    /^HTTP\/1\.1 200 OK[^]*from the shop$/,
  ],
  ["troubleshooting.md", "curl -s -H", /^\{"service":"shop"/],
  ["status-and-metrics.md", "curl -H", /^\{"service":"shop"/],
  ["inspector.md", "curl -H 'sluice-inspector-token", /"rows":\[/],
  // Last: the tokens that it makes are for a secret that this edge has not.
  ["secret-rotation.md", "mv tunnel.secret", /^$/],
  ["secret-rotation.md", "(umask 077 && openssl", /^$/],
  ["secret-rotation.md", "(umask 077 && npx agent token", /^$/],
  ["secret-rotation.md", "curl -s -H", /^0$/],
  ["secret-rotation.md", "rm tunnel.secret.old", /^$/],
];

test.each(commands)("%s: %s", async (page, begins, says) => {
  const lines = linesOf(page).filter((line) => line.startsWith(begins));
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) expect(await run(line)).toMatch(says);
});

test("there are no others", () => {
  const index = [...read("docs/README.md").matchAll(/\(([\w-]+\.md)/g)].map(
    ([, page = ""]) => page,
  );
  const forgotten = [...new Set(index)]
    .filter((page) => elsewhere[page] === undefined)
    .flatMap((page) => linesOf(page).map((line) => ({ page, line })))
    .filter(
      ({ page, line }) =>
        ![...commands, ...notHere].some(([of, begins]) => of === page && line.startsWith(begins)),
    );
  expect(forgotten).toEqual([]);
});

/** The lines of a page's shell blocks. */
function linesOf(page: string): string[] {
  return fencesOf(read(`docs/${page}`))
    .filter(({ language }) => language === "sh")
    .flatMap(({ text }) => text.split("\n").map((line) => line.trim()))
    .filter((line) => line !== "");
}
