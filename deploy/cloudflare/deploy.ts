/**
 * `npm run deploy`: `wrangler deploy` with a look before and a word after. Before: whether the secret is there, because how
 * wrangler says that it is not helps nobody who does not know it. After: what to type next.
 *
 * All flags are wrangler's. It never makes, sees or stores a secret.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const SECRET = "TUNNEL_SECRET";
const SECRET_FILE = "tunnel.secret";

/** Which Worker is meant, and by what: the flags of `wrangler deploy` that other commands have too. */
const SHARED = ["--name", "--env", "-e", "--config", "-c", "--profile"];

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs wrangler; `shown` leaves its output to the terminal. */
async function wrangler(
  parameters: readonly string[],
  shown: boolean,
  environment: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const output = shown ? "inherit" : "pipe";
  const child = spawn(
    process.execPath,
    [join(root, "node_modules/wrangler/bin/wrangler.js"), ...parameters],
    { cwd: root, env: { ...process.env, ...environment }, stdio: ["inherit", output, output] },
  );
  const ended = once(child, "close");
  const [stdout, stderr] = await Promise.all([
    child.stdout === null ? "" : text(child.stdout),
    child.stderr === null ? "" : text(child.stderr),
  ]);
  const [code] = (await ended) as [number | null];
  return { code: code ?? 1, stdout, stderr };
}

function say(words: string): void {
  process.stderr.write(`${words}\n`);
}

/** The flags that `wrangler secret` needs to mean the same Worker. */
function sharedOf(parameters: readonly string[]): string[] {
  return parameters.filter((word, at) => {
    const flag = word.split("=", 1)[0] ?? "";
    return (
      SHARED.includes(flag) || (SHARED.includes(parameters[at - 1] ?? "") && !word.startsWith("-"))
    );
  });
}

/** Why nothing can be deployed yet, with what to do; undefined when something can, or wrangler is to say what is wrong. */
async function hindrance(parameters: readonly string[]): Promise<string | undefined> {
  const shared = sharedOf(parameters);
  const { code, stdout, stderr } = await wrangler(
    ["secret", "list", "--format", "json", ...shared],
    false,
  );
  const said = stdout + stderr;
  if (code === 0) {
    const list = /^\[[^]*^\]|^\[.*\]$/m.exec(stdout)?.[0] ?? "[]";
    const names = (JSON.parse(list) as { readonly name: string }[]).map(({ name }) => name);
    return names.includes(SECRET) ? undefined : howToPut(shared);
  }
  if (/CLOUDFLARE_API_TOKEN|not authenticated|log ?in/i.test(said)) {
    return `wrangler does not know your Cloudflare account yet. On this machine:

  npx wrangler login

or, where there is no browser, set CLOUDFLARE_API_TOKEN (docs/deploy.md#from-ci), and run \`npm run deploy\` again.`;
  }
  // The Worker is not there yet: neither is its secret.
  if (/\b10007\b|\b10090\b|not found|does not exist/i.test(said)) return howToPut(shared);
  return undefined;
}

/** Into a file first: whoever makes tokens needs it too. */
function howToPut(shared: readonly string[]): string {
  const flags = shared.length === 0 ? "" : ` ${shared.join(" ")}`;
  const make = existsSync(join(root, SECRET_FILE))
    ? ""
    : `  openssl rand -hex 32 > ${SECRET_FILE}\n`;
  return `The Worker has no ${SECRET}, which signs the tokens of agents. Make one, keep the file (\`agent token\` needs it), and put it:

${make}  npx wrangler secret put ${SECRET}${flags} < ${SECRET_FILE}

(where the Worker does not exist yet, wrangler makes an empty one for it), and run \`npm run deploy\` again.`;
}

/** What to type when an edge is at `url`. */
function nextCommands(url: string): string {
  return `Next, for a service called "shop" on port 4000 of this machine:

  npx agent token --service shop --secret-file ${SECRET_FILE} > shop.token
  npx agent connect --port 4000 --edge ${url} --service shop --token-file shop.token

and it answers at ${url}/send/shop/. A new workers.dev name may take a minute until it is known everywhere.`;
}

/** Where the Worker is, as wrangler has written it for programs. */
async function deployedAt(file: string): Promise<string | undefined> {
  for (const line of (await readFile(file, "utf8")).split("\n")) {
    if (line === "") continue;
    const entry = JSON.parse(line) as { type?: string; targets?: string[] };
    if (entry.type !== "deploy") continue;
    return entry.targets
      ?.find((target) => /^https:\/\/[^*/ ]+\/?$/.test(target))
      ?.replace(/\/$/, "");
  }
  return undefined;
}

async function deploy(parameters: readonly string[]): Promise<number> {
  const dry = parameters.includes("--dry-run");
  const given = parameters.some((word) => word.startsWith("--secrets-file"));
  // Cloudflare's own builds ask for secrets themselves.
  if (!dry && !given && process.env["WORKERS_CI"] !== "1") {
    const why = await hindrance(parameters);
    if (why !== undefined) {
      say(why);
      return 2;
    }
  }
  const directory = await mkdtemp(join(tmpdir(), "sluice-deploy-"));
  try {
    const file = join(directory, "output");
    const { code } = await wrangler(["deploy", ...parameters], true, {
      WRANGLER_OUTPUT_FILE_PATH: file,
    });
    if (code !== 0) return code;
    if (dry) {
      say(`\nNothing was deployed: that was --dry-run. Without it:\n\n  npm run deploy\n`);
      say(nextCommands("https://sluice.<your-subdomain>.workers.dev"));
      return 0;
    }
    const url = (await deployedAt(file)) ?? "https://<where wrangler has deployed it>";
    say(`\n${nextCommands(url)}`);
    return 0;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await deploy(process.argv.slice(2));
