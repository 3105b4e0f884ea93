/** `npm run deploy`, with the real wrangler and a Cloudflare of the test's own: what it says when, and that it stops in time. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeCloudflare } from "../support/fake-cloudflare.ts";
import { Program, root } from "../support/program.ts";

const START_MS = 60_000;
const secret = "s".repeat(64);
let cloudflare: FakeCloudflare;
let directory = "";

beforeEach(async () => {
  cloudflare = await FakeCloudflare.start();
  directory = await mkdtemp(join(tmpdir(), "sluice-test-"));
});
afterEach(async () => {
  cloudflare.stop();
  await rm(directory, { recursive: true, force: true });
});

async function run(
  command: string,
  { env = {}, stdin }: { env?: Record<string, string>; stdin?: string } = {},
): Promise<{ code: number | null; output: string; stderr: string }> {
  const [program = "", ...parameters] = command.split(" ");
  const started = Program.start(program, parameters, {
    // What wrangler keeps of a login on this machine is not the test's.
    env: {
      ...(env["CI"] === undefined ? cloudflare.environment : {}),
      XDG_CONFIG_HOME: directory,
      HOME: directory,
      ...env,
    },
    ...(stdin === undefined ? {} : { stdin }),
  });
  const { code } = await started.exit(START_MS);
  return { code, output: started.lines.join("\n"), stderr: started.stderr };
}

const put = async (): Promise<void> => {
  const { code } = await run("npx wrangler secret put TUNNEL_SECRET", { stdin: `${secret}\n` });
  expect(code).toBe(0);
};

test(
  "without a Worker or its secret nothing is deployed, and the commands that are missing are said: then they work",
  async () => {
    const before = await run("npm run -s deploy");
    expect(before.code).toBe(2);
    expect(before.stderr).toContain("npx wrangler secret put TUNNEL_SECRET < tunnel.secret");
    expect(cloudflare.uploads).toEqual([]);

    await put();
    expect(cloudflare.secrets?.get("TUNNEL_SECRET")).toBe(secret);
    const after = await run("npm run -s deploy");
    expect(after.code).toBe(0);
    expect(cloudflare.uploads.at(-1)).toContain('{"name":"TUNNEL_SECRET","type":"inherit"}');
    expect(after.stderr).toContain(
      "npx agent connect --port 4000 --edge https://sluice.jo.workers.dev --service shop --token-file shop.token",
    );
  },
  2 * START_MS,
);

test(
  "a Worker without the secret is left alone",
  async () => {
    cloudflare.secrets = new Map([["OTHER", "x"]]);
    const { code, stderr } = await run("npm run -s deploy");
    expect([code, cloudflare.uploads.length]).toEqual([2, 0]);
    expect(stderr).toContain("npx wrangler secret put TUNNEL_SECRET");
  },
  START_MS,
);

test(
  "without an account it says how to get one known, and where there is no browser",
  async () => {
    const { code, stderr } = await run("npm run -s deploy", { env: { CLOUDFLARE_API_TOKEN: "" } });
    expect([code, cloudflare.uploads.length]).toEqual([2, 0]);
    expect(stderr).toContain("npx wrangler login");
    expect(stderr).toContain("CLOUDFLARE_API_TOKEN");
  },
  START_MS,
);

test(
  "in a build of Cloudflare's own, and with --secrets-file, wrangler is left to judge",
  async () => {
    const build = await run("npm run -s deploy", { env: { WORKERS_CI: "1" } });
    expect(build.code).toBe(1);
    expect(build.stderr).toContain("The following required secrets have not been set");

    const file = join(directory, "secrets.json");
    await writeFile(file, JSON.stringify({ TUNNEL_SECRET: secret }));
    const first = await run(`npm run -s deploy -- --secrets-file ${file}`);
    expect(first.code).toBe(0);
    expect(cloudflare.uploads.at(-1)).toContain(secret);
  },
  2 * START_MS,
);

test(
  "--dry-run asks nobody, deploys nothing, and says what would come next",
  async () => {
    const { environment: env } = cloudflare;
    cloudflare.stop();
    const { code, output, stderr } = await run("npm run -s deploy -- --dry-run", { env });
    expect(code).toBe(0);
    expect(output).toContain("env.CORRELATOR");
    expect(stderr).toContain("Nothing was deployed");
    expect(stderr).toContain("npx agent token --service shop --secret-file tunnel.secret");
  },
  START_MS,
);

test("what the Deploy button asks for are the secrets and bindings that there are, without a value to leave as it is", async () => {
  const wrangler = await readFile(join(root, "wrangler.toml"), "utf8");
  const { cloudflare: button } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    cloudflare: { bindings: Record<string, { description: string }> };
  };
  for (const name of Object.keys(button.bindings)) expect(wrangler).toContain(`"${name}"`);
  const example = await readFile(join(root, ".dev.vars.example"), "utf8");
  const lines = example.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines).toEqual(["TUNNEL_SECRET="]);
});
