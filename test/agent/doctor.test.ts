/** `agent doctor` as a command: what it prints, what it ends with, and what its report never holds. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { authority, certificate } from "../support/certificate.ts";
import { ConnectProxy } from "../support/connect-proxy.ts";
import { Program, type ProgramEvent, root } from "../support/program.ts";
import { diagnose, unsigned } from "./diagnose.ts";
import { FakeEdge } from "./fake-edge.ts";

let directory = "";
let edge: FakeEdge;
const programs: Program[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
  await writeFile(join(directory, "token"), `${unsigned()}\n`);
});
afterAll(() => rm(directory, { recursive: true, force: true }));
beforeEach(async () => {
  edge = await FakeEdge.start();
  edge.shards = 1;
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.stop()));
  await edge.stop();
});

const none = {
  HTTP_PROXY: "",
  HTTPS_PROXY: "",
  http_proxy: "",
  https_proxy: "",
  NO_PROXY: "",
  no_proxy: "",
};

function doctor(flags: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const program = Program.agent(["doctor", "--idle", "0", ...flags], { env: { ...none, ...env } });
  programs.push(program);
  return program;
}

const to = (): string[] => [
  "-e",
  edge.url.origin,
  "-s",
  "shop",
  "--token-file",
  join(directory, "token"),
];

/** The line of a check. */
function check(program: Program, name: string): ProgramEvent | undefined {
  return program.events.find((event) => event.event === "check" && event["check"] === name);
}

test("is a table on stdout with a summary, and 0 when nothing failed", async () => {
  const program = doctor(to());
  expect(await program.exit()).toEqual({ code: 0, signal: null });
  expect(program.lines[0]).toMatch(/^configuration {2}shop {31}\[ OK \] http:\/\/127/);
  expect(program.lines[1]).toMatch(/^token {10}shop {31}\[ OK \] role agent, expires in 90 days/);
  expect(program.lines.at(-1)).toBe("1 to look at (throughput), 7 passed.");
  // Every sign stands in one column.
  const places = program.lines.flatMap((line) => (line.includes("[") ? [line.indexOf("[")] : []));
  expect(new Set(places)).toEqual(new Set([50]));
  expect(program.stderr).toBe("");
});

test("a failure has a line with what to do, and its exit code", async () => {
  const program = doctor([...to().slice(0, 4), "--port", "1"], {
    AGENT_TOKEN: unsigned({ exp: 1 }),
  });
  expect(await program.exit()).toMatchObject({ code: 4 });
  const at = program.lines.findIndex((line) => line.includes("[FAIL]"));
  expect(program.lines[at]).toContain("it expired at 1970-01-01T00:00:01Z");
  expect(program.lines[at + 1]).toBe(
    `${" ".repeat(15)}→ Make another one with \`agent token --service shop\`, signed with the edge's secret.`,
  );
  expect(program.lines.at(-1)).toContain("2 failed (token, origin)");
});

test("with --json there is one line a check and a summary, and the table is for people", async () => {
  const program = doctor([...to(), "--json"]);
  await program.exit();
  const names = program.events.map((event) => event["check"] ?? event.event);
  expect(names).toEqual(
    "configuration token dns tcp proxy tls edge upgrade authentication round-trip throughput idle origin summary".split(
      " ",
    ),
  );
  expect(check(program, "tcp")).toMatchObject({
    service: "shop",
    status: "ok",
    target: `127.0.0.1:${edge.port}`,
    ms: expect.any(Number),
    data: { connectMs: expect.any(Number) },
  });
  expect(program.events.at(-1)).toMatchObject({
    ok: 7,
    warn: 1,
    fail: 0,
    skip: 5,
    failed: [],
    exit: 0,
  });
  expect(program.lines).toEqual([]);
  expect(program.stderr).toContain("[ OK ]");
});

test("every check has its row in docs/doctor.md", async () => {
  const program = doctor(["--json"]);
  await program.exit();
  const page = await readFile(join(root, "docs/doctor.md"), "utf8");
  const rows = Array.from(page.matchAll(/^\| ([\w -]+) \|/gm), ([, title = ""]) => title);
  const diagnosis = await diagnose({ edge: "nowhere" });
  expect(rows).toEqual(expect.arrayContaining(diagnosis.results.map(({ title }) => title)));
  for (const event of program.events.slice(0, -1)) {
    expect(page).toContain(`\`${String(event["check"])}\``);
  }
});

describe("what is mistyped", () => {
  test("in a value fails the first check, and the others say why they were left out", async () => {
    const program = doctor(["-e", "edge.example", "-s", "shop", "--json"]);
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(check(program, "configuration")).toMatchObject({
      status: "fail",
      details: expect.stringContaining("--edge must be an http or https URL without a path"),
    });
    expect(check(program, "origin")).toMatchObject({
      status: "skip",
      details: "configuration failed",
    });
  });

  test("in a flag is answered with the one that was meant", async () => {
    const program = doctor(["--edgee", "http://127.0.0.1"]);
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(program.stderr).toContain("Did you mean --edge?");
  });

  test.each(["soon", "2h"])("--idle %s is refused", async (idle) => {
    const program = doctor([...to(), "--idle", idle]);
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(program.stderr).toContain("--idle must be a time like 5s or 2m, at most 1h");
  });

  test("in the place of the report is said before anything takes its time", async () => {
    const program = doctor([...to(), "--report", join(directory, "none", "report")]);
    expect(await program.exit()).toMatchObject({ code: 2 });
    expect(edge.counts).toEqual([]);
  });
});

test("what others say reaches no terminal as a control sequence", async () => {
  edge.refusal = { status: 403, body: "<title>no\u009b31m \u202esockets</title>" };
  const program = doctor([...to(), "--no-color"]);
  expect(await program.exit()).toMatchObject({ code: 1 });
  const text = program.lines.join("\n");
  expect(text).toContain("answered with 403");
  // oxlint-disable-next-line no-control-regex -- that is what must not be there
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
});

test("each service of a configuration file is examined", async () => {
  const file = join(directory, "sluice.json");
  const services = {
    shop: { port: 1, tokenFile: "token" },
    blog: { port: 1, tokenFile: "none" },
  };
  await writeFile(file, JSON.stringify({ edge: edge.url.origin, services }));
  const program = doctor(["--config", file, "--json"]);
  expect(await program.exit()).toMatchObject({ code: 1 });
  const tokens = program.events.filter((event) => event["check"] === "token");
  expect(tokens.map(({ service, status }) => [service, status])).toEqual([
    ["shop", "ok"],
    ["blog", "fail"],
  ]);
  expect(program.events.filter(({ event }) => event === "summary")).toHaveLength(2);
});

test("an authority of NODE_EXTRA_CA_CERTS is named: somebody may read along", async () => {
  const corp = authority("Corp Interception CA");
  const file = join(directory, "corp.pem");
  await writeFile(file, corp.cert);
  const proxy = await ConnectProxy.start({
    intercept: certificate({ names: ["edge.test"], issuer: corp }),
  });
  try {
    const program = doctor(
      [
        "-e",
        `https://edge.test:${edge.port}`,
        "-s",
        "shop",
        "--json",
        "--token-file",
        join(directory, "token"),
      ],
      { HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: file },
    );
    expect(await program.exit()).toMatchObject({ code: 0 });
    expect(check(program, "tls")).toMatchObject({
      status: "warn",
      details: expect.stringContaining(
        'its authority "Corp Interception CA" is none of the public ones, and is believed because NODE_EXTRA_CA_CERTS has it',
      ),
    });
  } finally {
    await proxy.stop();
  }
});

describe("the report", () => {
  test("holds all that was found, and no secret that was anywhere to be found", async () => {
    // A proxy that quotes what it was given, as pages of proxies do.
    const proxy = await ConnectProxy.start({
      refusal:
        'HTTP/1.1 403 No\r\n\r\n<title>PLANTED-"pass\\word of jo was refused by PLANTED-filter</title>',
    });
    const claims = { service: "shop", role: "agent", exp: 4_000_000_000, note: "PLANTED-claim" };
    const token = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.PLANTED-signature`;
    const file = join(directory, "report.json");
    await writeFile(join(directory, "planted"), token);
    try {
      const program = doctor(
        [
          "-e",
          "http://edge.test:9",
          "-s",
          "shop",
          "--port",
          "1",
          "--report",
          file,
          "--json",
          "--token-file",
          join(directory, "planted"),
        ],
        {
          HTTP_PROXY: `http://jo:PLANTED-%22pass%5Cword@127.0.0.1:${proxy.port}`,
          HTTPS_PROXY: "http://PLANTED-user:PLANTED%20other@proxy.test",
          NO_PROXY: "internal.test",
          AGENT_TOKEN: "PLANTED-variable",
          TUNNEL_SECRET: "PLANTED-secret-of-the-edge-itself",
        },
      );
      expect(await program.exit()).toMatchObject({ code: 1 });
      const text = await readFile(file, "utf8");
      expect(text).toContain("PLANTED-filter");
      const everywhere = text + program.stderr + JSON.stringify(program.events);
      expect(everywhere.replaceAll("PLANTED-filter", "")).not.toMatch(/PLANTED/);
      for (const pair of ['jo:PLANTED-"pass\\word', "PLANTED-user:PLANTED other"]) {
        expect(everywhere).not.toContain(Buffer.from(pair).toString("base64"));
      }
      expect(everywhere).not.toContain(token.split(".")[1]);
      const report = JSON.parse(text) as Record<string, unknown>;
      expect(report).toMatchObject({
        report: "agent doctor",
        versions: { agent: expect.any(String), node: process.versions.node, protocol: "sluice.v1" },
        environment: {
          HTTP_PROXY: `http://•••@127.0.0.1:${proxy.port}`,
          NO_PROXY: "internal.test",
        },
        services: [
          {
            service: "shop",
            given: { edge: { value: "http://edge.test:9", from: "--edge" } },
            exit: 1,
          },
        ],
      });
      expect(text).toContain('"exp": 4000000000');
    } finally {
      await proxy.stop();
    }
  });

  test("holds no password that stands where none belongs", async () => {
    const file = join(directory, "report-2.json");
    const program = doctor(
      [
        "-e",
        "https://jo:PLANTED@edge.test",
        "-s",
        "shop",
        "--origin",
        "http://jo:PLANTED@localhost",
        "--report",
        file,
      ],
      { HTTPS_PROXY: "http://PLANTED:PLANTED/x@:@proxy.test" },
    );
    expect(await program.exit()).toMatchObject({ code: 2 });
    const text = await readFile(file, "utf8");
    expect(text).toContain("https://•••@edge.test");
    expect(text + program.lines.join("\n") + program.stderr).not.toContain("PLANTED");
  });
});
