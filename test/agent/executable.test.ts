/** What an `agent` of `npx` may end at. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { VERSION } from "../../agent/software.ts";
import { Program, root } from "../support/program.ts";

test.each(["bin/agent.js", "agent/cli.ts"])("%s is started as a command", async (entry) => {
  const agent = Program.start(join(root, entry), ["--version"]);
  const { code } = await agent.exit();
  expect(code, agent.stderr).toBe(0);
  expect(agent.lines.join("\n")).toContain(`agent ${VERSION}`);
});
