/** What a start waits for before it says anything: its time is that of the modules that are loaded. */
import { expect, test } from "vitest";
import { Program } from "../support/program.ts";

/** Says on stderr which modules are loaded, and which of them will not be kept as compiled, among the lines of the command. */
const tell = `data:text/javascript,${encodeURIComponent(`
import { getCompileCacheDir, registerHooks } from "node:module";
import { writeSync } from "node:fs";
registerHooks({
  load(url, context, next) {
    writeSync(2, "loads " + url + (getCompileCacheDir() === undefined ? " afresh" : "") + "\\n");
    return next(url, context);
  },
});
`)}`;

test("the first line is out before anything of the tunnel is loaded", async () => {
  const connect = ["connect", "--edge", "http://127.0.0.1:1", "--service", "shop", "--port", "1"];
  const program = Program.agent(connect, {
    env: { AGENT_TOKEN: "none", NODE_OPTIONS: `--import=${tell}` },
  });
  // It has tried: all is loaded.
  await program.said(/^cannot reach the edge/m);
  program.kill();
  await program.exit();
  const { stderr: said } = program;
  const [before = "", after = ""] = said.split(/^agent \d+\.\d+\.\d+ .*$/m);
  expect(dependencies(before)).toEqual(new Set(["commander"]));
  expect(before).not.toMatch(/agent\/(?:connection|origin)\//);
  expect(said).not.toMatch(/\.ts afresh$/m);
  expect(dependencies(after)).toEqual(new Set(["@msgpack", "p-queue", "undici", "valibot", "ws"]));
});

/** The packages of which something was loaded. */
function dependencies(said: string): Set<string> {
  const names = said.matchAll(/^loads file:.*?\/node_modules\/([^/]+)/gm);
  return new Set(Array.from(names, ([, name = ""]) => name));
}
