/**
 * What `npm pack` makes, installed in an empty project, on every Node that it is for: the library, the command, the types,
 * and what the docs say of them.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodes } from "../nodes/nodes.ts";
import { Program, root } from "../support/program.ts";
import { Edge } from "../support/tunnel.ts";

/** Packing builds, installing may ask the registry for what npm's cache lacks. */
const INSTALL_MS = 60_000;

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
const docs = readFileSync(join(root, "docs/library.md"), "utf8");

const folder = mkdtempSync(join(tmpdir(), "sluice-package-"));
/** The project in which this project's Node has installed it. */
const project = join(folder, process.versions.node);
let packed: {
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
};

/** Runs npm, by a Node of one's choice. */
function npm(parameters: readonly string[], cwd: string, node = process.execPath): string {
  return execFileSync("npm", parameters, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, PATH: dirname(node) + delimiter + process.env["PATH"] },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

beforeAll(() => {
  const [made] = JSON.parse(npm(["pack", "--json", "--pack-destination", folder], root));
  packed = made;
  const types = `@types/node@${manifest.devDependencies["@types/node"]}`;
  const quiet = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
  for (const { version, path } of nodes.filter(({ there }) => there)) {
    const empty = join(folder, version);
    cpSync(join(root, "examples/library"), empty, { recursive: true });
    writeFileSync(join(empty, "package.json"), '{ "private": true, "type": "module" }');
    // Strict: no dependency asks for more of Node than we do.
    npm(["install", "--engine-strict", ...quiet, join(folder, made.filename), types], empty, path);
  }
}, nodes.length * INSTALL_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A port that was free a moment ago: the README's commands name theirs. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("holds the command, what is built and the README, and nothing else", () => {
  const paths = packed.files.map(({ path }) => path);
  const others = paths.filter((path) => !/^(?:bin|dist)\//.test(path));
  expect(others.sort()).toEqual(expect.arrayContaining(["README.md", "package.json"]));
  expect(others.length).toBeLessThanOrEqual(3);
  expect(paths.filter((path) => /\.(?:ts|tsx)$/.test(path) && !path.endsWith(".d.ts"))).toEqual([]);
  expect(paths.filter((path) => /\b(?:test|demo|bench)\//.test(path))).toEqual([]);
  expect(packed.files.find(({ path }) => path === "bin/agent.js")?.mode).toBe(0o755);
  expect(packed.unpackedSize).toBeLessThan(3_000_000);
});

test("installs its dependencies and nothing that only some need", () => {
  const installed = readdirSync(join(project, "node_modules"));
  const expected = Object.keys(manifest.dependencies).map((name) => name.split("/")[0]);
  // The last two are what socks brings along.
  const others = ["sluice", "@types", "undici-types", "ip-address", "smart-buffer"];
  expect(new Set(installed.filter((name) => !name.startsWith(".")))).toEqual(
    new Set([...expected, ...others]),
  );
});

test("is tried on the lowest Node that it says it runs on", () => {
  expect(`>=${nodes[0]?.version}`).toBe(`${manifest.engines.node}.0`);
});

describe("installed", () => {
  let edge: Edge;
  let shop: Server;

  beforeAll(async () => {
    edge = await Edge.start();
    shop = createServer((request, response) => response.end(`shop: ${request.url}`));
    await new Promise<void>((resolve) => shop.listen(0, "127.0.0.1", resolve));
  }, INSTALL_MS);

  afterAll(async () => {
    await edge.stop();
    shop.close();
    shop.closeAllConnections();
  });

  for (const { version, path, there } of nodes) {
    describe.skipIf(!there)(`on Node ${version}`, () => {
      const cwd = join(folder, version);

      /** The installed command. */
      function agent(parameters: readonly string[], env: Record<string, string> = {}): Program {
        return Program.start(path, ["node_modules/.bin/agent", ...parameters], { cwd, env });
      }

      /** Starts a program of the project and waits for the URL that it prints. */
      async function example(file: string): Promise<{ program: Program; url: string }> {
        const env = { EDGE: edge.url, TOKEN: await edge.token({ service: "shop" }) };
        const program = Program.start(path, [file], { cwd, env });
        const [, url = ""] = await program.line(/^listening at (\S+)$/);
        return { program, url };
      }

      test("the command says its version and Node's", async () => {
        const program = agent(["--version"]);
        await program.line(/^agent /);
        expect(program.lines).toEqual([
          `agent ${manifest.version}, protocol sluice.v1, node ${version}`,
        ]);
        expect(await program.exit()).toEqual({ code: 0, signal: null });
        expect(program.stderr).toBe("");
      });

      test("the example with a function answers, and ends by itself once it is closed", async () => {
        const { program, url } = await example("function.ts");
        expect(await (await fetch(`${url}products`)).text()).toBe("GET /products\n");
        expect(await (await fetch(`${url}countdown`)).text()).toBe(
          "data: 3\n\ndata: 2\n\ndata: 1\n\ndata: 0\n\n",
        );
        const upload = await fetch(`${url}upload`, { method: "POST", body: "x".repeat(100_000) });
        expect(await upload.json()).toEqual({ bytes: 100_000 });
        await program.line(/^POST \/upload 200 /);
        program.kill("SIGINT");
        expect(await program.exit()).toEqual({ code: 0, signal: null });
        expect(program.stderr).toBe("");
      });

      test("the example with a server answers, and ends by itself once it is closed", async () => {
        const { program, url } = await example("server.ts");
        const answer = await fetch(`${url}a?b`, { method: "POST", body: "hello" });
        expect(await answer.text()).toBe("POST /a?b\nhello");
        program.kill("SIGINT");
        expect(await program.exit()).toEqual({ code: 0, signal: null });
        expect(program.stderr).toBe("");
      });

      test("a program whose token is refused can say why, and ends by itself", async () => {
        writeFileSync(
          join(cwd, "refused.js"),
          `import { connect } from "sluice";
import { createServer } from "node:http";
const { EDGE: edge, TOKEN: token } = process.env;
const refused = connect({ edge, service: "another", token, origin: createServer() });
refused.catch(({ code, message }) => console.log(code, message));
`,
        );
        const env = { EDGE: edge.url, TOKEN: await edge.token({ service: "shop" }) };
        const program = Program.start(path, ["refused.js"], { cwd, env });
        await program.line(
          /^unauthorized The edge refused the token: it is for the service "shop"/,
        );
        expect(await program.exit()).toEqual({ code: 0, signal: null });
        expect(program.stderr).toBe("");
      });

      test("the command connects, and has the page that shows exchanges", async () => {
        const { port } = shop.address() as AddressInfo;
        const token = await edge.token({ service: "shop" });
        const flags = ["--edge", edge.url, "--service", "shop", "--port", String(port), "--json"];
        const page = ["--inspect-port", "0"];
        const program = agent(["connect", ...flags, ...page], { AGENT_TOKEN: token });
        const inspector = new URL(String((await program.event("inspector"))["url"]));
        const entered = await fetch(inspector, { redirect: "manual" });
        const [cookie = ""] = entered.headers.getSetCookie();
        for (const name of ["/", "/app.js", "/app.css", "/icon.svg"]) {
          const file = await fetch(new URL(name, inspector), { headers: { cookie } });
          expect([name, file.status]).toEqual([name, 200]);
        }
        const { url } = await program.event("connected");
        expect(await (await fetch(`${String(url)}x`)).text()).toBe("shop: /x");
        program.kill();
        expect((await program.exit()).code).toBe(0);
      });

      test("`require` gives the same as `import`", async () => {
        writeFileSync(
          join(cwd, "required.cjs"),
          'const { connect, ConnectError } = require("sluice");\nconnect({}).catch((error) => console.log(error instanceof ConnectError, error.code));\n',
        );
        const program = Program.start(path, ["required.cjs"], { cwd });
        await program.line(/^true usage$/);
        expect((await program.exit()).code).toBe(0);
      });

      test("the edge needs workerd, says so, and runs with it", async () => {
        const without = agent(["edge", "--port", "0"]);
        await without.said(/npm install workerd/);
        expect((await without.exit()).code).toBe(2);
        for (const name of ["workerd", "@cloudflare"]) {
          symlinkSync(join(root, "node_modules", name), join(cwd, "node_modules", name));
        }
        const started = agent(["edge", "--port", "0", "--json"]);
        const { url } = await started.event("listening");
        const answer = await fetch(`${String(url)}/send/shop/`);
        expect([answer.status, answer.headers.get("sluice-error")]).toEqual([503, "agent-offline"]);
        started.kill();
        expect((await started.exit()).code).toBe(0);
      });
    });
  }
});

describe("docs/library.md", () => {
  const blocks = Array.from(docs.matchAll(/^```(\w*)\n([^]*?)^```$/gm), ([, kind, text]) => ({
    kind: kind ?? "",
    text: text ?? "",
  }));

  test("has every block type-checked as a module of a project like this, and so has each example", () => {
    const checked = join(project, "docs");
    cpSync(join(project, "function.ts"), join(checked, "function.ts"));
    cpSync(join(project, "server.ts"), join(checked, "server.ts"));
    for (const [index, { kind, text }] of blocks.entries()) {
      if (kind === "ts") writeFileSync(join(checked, `block-${index}.ts`), text);
      else expect(text).toBe(`npm install ./sluice-${manifest.version}.tgz\n`);
    }
    writeFileSync(join(checked, "contract.ts"), contract);
    writeFileSync(
      join(checked, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          module: "nodenext",
          target: "es2024",
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          types: ["node"],
        },
      }),
    );
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    let said = "";
    try {
      execFileSync(process.execPath, [tsc, "-p", checked], { cwd: checked, encoding: "utf8" });
    } catch (error) {
      said = String((error as { readonly stdout?: string }).stdout);
    }
    expect(said).toBe("");
  });

  test("names every option and no other", () => {
    const source = readFileSync(join(root, "agent/library/options.ts"), "utf8");
    const declared = /interface ConnectOptions \{([^]*?)^\}/m.exec(source)?.[1] ?? "";
    const options = Array.from(declared.matchAll(/^ {2}readonly (\w+)\??:/gm), ([, name]) => name);
    const table = /\| option \|[^]*?\n\n/.exec(docs)?.[0] ?? "";
    const rows = Array.from(table.matchAll(/^\| (`.*?) \|/gm), ([, cell = ""]) =>
      cell.split(", ").map((name) => name.replaceAll("`", "")),
    );
    expect(new Set(rows.flat())).toEqual(new Set(options));
  });

  test("names every event", () => {
    const source = readFileSync(join(root, "agent/events.ts"), "utf8");
    const events = Array.from(source.matchAll(/readonly event: "(\w+)"/g), ([, name]) => name);
    const ofCommands = /TunnelEvent = Exclude<([^]*?)>;/.exec(source)?.[1] ?? "";
    const named = new Set(events.filter((name) => !ofCommands.includes(`"${name}"`)));
    const line = /^The lines of `agent connect --json`[^]*?\n\n/m.exec(docs)?.[0] ?? "";
    const told = Array.from(line.matchAll(/`(\w+)`/g), ([, name]) => name);
    expect(new Set(told)).toEqual(named);
  });
});

test(
  "the commands of examples/library/README.md work as they stand, but for the port and the file",
  async () => {
    const text = readFileSync(join(root, "examples/library/README.md"), "utf8");
    const port = await freePort();
    const secret = join(folder, "tunnel.secret");
    const [start = "", ask = ""] = Array.from(
      text.matchAll(/^```sh\n([^]*?)^```$/gm),
      ([, block]) =>
        (block ?? "").replaceAll("8787", String(port)).replaceAll("tunnel.secret", secret),
    );
    const script = Program.start("bash", ["-ec", start], { group: true });
    try {
      await script.line(/^listening at /, INSTALL_MS);
      const asked = Program.start("bash", ["-ec", ask]);
      expect((await asked.exit()).code).toBe(0);
      expect(asked.lines).toEqual(
        expect.arrayContaining(["GET /products", "data: 0", expect.stringMatching(/^\{"bytes":/)]),
      );
    } finally {
      script.interrupt();
      await script.exit();
    }
  },
  INSTALL_MS,
);

/** What a program may rely on, and what must not compile. */
const contract = `
import { connect, ConnectError, type ConnectOptions, type Tunnel, type TunnelEvent } from "sluice";
import { createServer } from "node:http";

declare const tunnel: Tunnel;
const url: string = tunnel.url;
const ended: Promise<void> = tunnel.closed;
tunnel.on("request", ({ status, outcome }) => [status.toFixed(), outcome === "ok"]);
tunnel.on("disconnected", ({ retryMs }) => retryMs.toFixed());
// @ts-expect-error -- no such event
tunnel.on("listening", () => {});
// @ts-expect-error -- no such field
tunnel.on("request", ({ retryMs }) => retryMs);

const required = { edge: new URL("https://a.example"), service: "a", token: "t" };
const origins: ConnectOptions["origin"][] = [
  4000,
  "unix:/x",
  new URL("http://a.example"),
  createServer(),
  () => new Response(),
  async () => new Response(),
  { fetch: () => new Response() },
];
for (const origin of origins) void connect({ ...required, origin, grace: "5m", originTimeout: 0 });
// @ts-expect-error -- text has a unit
void connect({ ...required, origin: 1, grace: "30" });
// @ts-expect-error -- a server of node:http has two parameters
void connect({ ...required, origin: (request: Request, response: Response) => response });
// @ts-expect-error -- the origin is missing
void connect(required);

const names = (event: TunnelEvent): string => event.event;
const code = (error: ConnectError): boolean => error.code === "unauthorized";
const dispose: AsyncDisposable = tunnel;
export { code, dispose, ended, names, url };
`;
