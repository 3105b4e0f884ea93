/** `agent config check` and `agent config show`, as they are run. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { masked } from "../../agent/commands/config-show.ts";
import { withoutPassword } from "../../agent/config/without-password.ts";
import { signToken } from "../../agent/edge-here/token.ts";
import { Program } from "../support/program.ts";

const secret = "0123456789abcdef0123456789abcdef";
const edge = "https://edge.example.workers.dev";
let directory = "";
let token = "";

async function signed(service: string, expiresMs = Date.now() + 60_000): Promise<string> {
  return signToken({ service, role: "agent", nowMs: Date.now(), expiresMs }, secret);
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
  token = await signed("shop");
  await writeFile(join(directory, "shop.token"), `${token}\n`);
  await writeFile(join(directory, "api.token"), await signed("api"));
  await writeFile(join(directory, "old.token"), await signed("shop", Date.now() - 60_000));
  const services = {
    shop: { port: 4000, tokenFile: "shop.token", concurrency: 8 },
    api: { origin: "http://10.0.0.2:81", path: "/v1", tokenFile: "api.token" },
  };
  await writeFile(
    join(directory, "sluice.config.json"),
    JSON.stringify({ edge, grace: "1m", services }),
  );
});

afterAll(() => rm(directory, { recursive: true }));

async function run(
  parameters: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const program = Program.agent(["config", ...parameters], { cwd: directory, env });
  const { code } = await program.exit();
  return { code, out: program.lines.join("\n"), err: program.stderr };
}

describe("check", () => {
  test("says which file, and what would run with it", async () => {
    const { code, out } = await run(["check", "--config", "sluice.config.json"]);
    expect(code).toBe(0);
    expect(out).toContain("configuration: sluice.config.json");
    expect(out).toContain(`  shop: ${edge}/send/shop/ → http://localhost:4000, token: `);
    expect(out).toContain(`  api: ${edge}/send/api/ → http://10.0.0.2:81/v1, token: `);
    expect(out).toContain("would run 2 services");
  });

  test("with --json says the same to a program", async () => {
    const flags = ["--config", "sluice.config.json", "--service", "api", "--json"];
    const { out } = await run(["check", ...flags]);
    const origin = "http://10.0.0.2:81/v1";
    expect(JSON.parse(out)).toEqual({
      ok: true,
      file: "sluice.config.json",
      services: [{ service: "api", url: `${edge}/send/api/`, origin }],
    });
  });

  const flags = ["-e", edge, "-s", "shop", "-p", "4000"];
  test.each<[string, string[], string]>([
    ["a value", [...flags, "-c", "many"], "--concurrency must be a whole number"],
    ["a missing token", flags, 'A token is missing for "shop"'],
    [
      "a token that expired",
      [...flags, "--token-file", "old.token"],
      "old.token) is of no use: it expired",
    ],
    ["another's token", [...flags, "--token-file", "api.token"], 'it is for the service "api"'],
    [
      "a file that is not there",
      ["--config", "none.json"],
      'The file "none.json" (--config) cannot be read',
    ],
    ["certificates", [...flags, "--token-file", "shop.token", "--ca", "none.pem"], "none.pem"],
  ])("%s that cannot be used is exit code 2, and a sentence", async (_, parameters, says) => {
    const { code, out, err } = await run(["check", ...parameters]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(says);
    expect(err).toMatch(/\(usage, docs\/errors\.md#usage\)\n$/);
  });
});

describe("show", () => {
  test("every value with the flag, the variable or the key that it comes from", async () => {
    const flags = ["--config", "sluice.config.json", "-s", "shop", "--no-inspect", "--json"];
    const { code, out } = await run(["show", ...flags], {
      AGENT_GRACE: "5s",
      AGENT_REPLACE: "0",
      AGENT_CA: "",
      HTTPS_PROXY: "http://user:secret@proxy.example:3128",
    });
    expect(code).toBe(0);
    const { services } = JSON.parse(out) as {
      services: { service: string; values: { name: string; value?: string; from: string }[] }[];
    };
    const values = services[0]?.values ?? [];
    const of = (name: string): unknown[] => {
      const found = values.find((each) => each.name === name);
      return [found?.value, found?.from];
    };
    expect(of("service")).toEqual(["shop", "--service"]);
    expect(of("edge")).toEqual([edge, "sluice.config.json: edge"]);
    expect(of("port")).toEqual(["4000", "sluice.config.json: services.shop.port"]);
    expect(of("grace")).toEqual(["5s", "AGENT_GRACE"]);
    expect(of("replace")).toEqual(["no", "AGENT_REPLACE"]);
    expect(of("inspect")).toEqual(["no", "--no-inspect"]);
    expect(of("origin-timeout")).toEqual(["10m", "default"]);
    expect(of("rewrite-location")).toEqual(["yes", "default"]);
    expect(of("ca")[1]).toBe("default (AGENT_CA is empty)");
    expect(of("proxy")).toEqual(["http://proxy.example:3128", "HTTPS_PROXY"]);
    const file = join(directory, "shop.token");
    const key = "sluice.config.json: services.shop.tokenFile";
    expect(of("token")).toEqual([`••••${token.slice(-4)}`, `${key}: ${file}`]);
  });

  test("no secret is in it, whatever shows it", async () => {
    const env = { AGENT_TOKEN: token, AGENT_EDGE: "https://user:hunter22@edge.example" };
    for (const flags of [["show"], ["show", "--json"]]) {
      const { out } = await run(flags, env);
      expect(out).toContain(`••••${token.slice(-4)}`);
      expect(out).not.toContain(token.slice(0, 20));
      expect(out).not.toContain("hunter22");
    }
  });

  test("a short secret has no end to spare", () => {
    expect(masked("hunter22")).toBe("••••");
    expect(masked("0123456789abcdef")).toBe("••••cdef");
  });

  test("a file in the working directory that was not asked for is not read, and named", async () => {
    const { out, err } = await run(["show"]);
    expect(out).toContain("no file, flags and environment alone");
    expect(err).toContain("sluice.config.json is here and is not read");
  });
});

describe("what got into a value by mistake is not shown", () => {
  test.each([
    ["https://user:hunter2@host", "https://••••@host"],
    ["https://user:hun/ter2@host", "https://••••@host"],
    ["https://user:hun@ter2@host:1", "https://••••@host:1"],
    ["root:hunter2@db:80", "••••@db:80"],
    ["https://host", "https://host"],
    ["/@scope/me:you@", "/@scope/me:you@"],
    ["unix:/run/me@here", "unix:/run/me@here"],
    ["unix:///run/me@here", "unix:///run/me@here"],
    [String.raw`C:\Users\me@work\ca.pem`, String.raw`C:\Users\me@work\ca.pem`],
  ])("%s", (given, seen) => {
    expect(withoutPassword(given)).toBe(seen);
  });

  test("by `config show`, nor what a terminal would act on", async () => {
    const { out } = await run(["show", "--edge", "https://u:hun/ter2@host"], {
      AGENT_HOST_HEADER: "a\u001b]0;title\u0007\u009b2J",
    });
    expect(out).toContain("https://••••@host ");
    expect(out).toContain(String.raw`a\x1b]0;title\x07\x9b2J`);
    expect(out).not.toContain("ter2");
  });

  test("by the sentence that refuses it", async () => {
    const { code, err } = await run([
      "check",
      "-e",
      "https://u:hun@ter2@host",
      "-s",
      "shop",
      "-p",
      "1",
    ]);
    expect(code).toBe(2);
    expect(err).toContain('not "https://••••@host"');
  });

  test("a token where its file's path belongs", async () => {
    const { out } = await run(["show", "--token-file", token]);
    expect(out).toMatch(/token +\(no file's path\) +--token-file$/);
    expect(out).not.toContain(token.slice(0, 20));
    const flags = ["-e", edge, "-s", "shop", "-p", "4000", "--token-file", token];
    const { code, err } = await run(["check", ...flags]);
    expect(code).toBe(2);
    expect(err).toContain("--token-file takes the path of a file, and was given a token itself");
    expect(err).not.toContain(token.slice(0, 20));
  });
});
