/** Completion in real shells: what Tab offers. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newProgram } from "../../agent/commands/program.ts";
import { bashCompletion } from "../../agent/completion/bash.ts";
import { fishCompletion } from "../../agent/completion/fish.ts";
import { placesOf } from "../../agent/completion/words.ts";
import { zshCompletion } from "../../agent/completion/zsh.ts";
import { Program } from "../support/program.ts";

const places = placesOf(newProgram(async () => {}));
let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "sluice-test-"));
  writeFileSync(join(directory, "shop.token"), "");
  mkdirSync(join(directory, "state"));
  writeFileSync(join(directory, "agent.bash"), bashCompletion("agent", places));
  writeFileSync(join(directory, "agent.zsh"), zshCompletion("agent", places));
  writeFileSync(join(directory, "agent.fish"), fishCompletion("agent", places));
});

afterAll(() => rmSync(directory, { recursive: true }));

/** What is typed, the last word unfinished; and what may come of that word. */
const cases: [string, string[]][] = [
  ["agent con", ["config", "connect"]],
  ["agent config ", ["check", "show"]],
  ["agent connect --token-f", ["--token-file"]],
  ["agent connect --port 4000 --ed", ["--edge"]],
  ["agent connect --token-file s", ["shop.token", "state/"]],
  ["agent connect --log-level ", ["debug", "error", "info", "silent", "warn"]],
  ["agent token --role v", ["visitor"]],
  ["agent edge --data ", ["state/"]],
  ["agent config show --concur", ["--concurrency"]],
  ["agent completion ", ["bash", "fish", "zsh"]],
];

/** The words that a shell says, without the slash that some put behind a directory, in their order. */
function sorted(words: readonly string[]): string[] {
  return words
    .map((word) => word.replace(/\/$/, ""))
    .filter((word) => word !== "")
    .sort();
}

function has(shell: string): boolean {
  return spawnSync(shell, ["-c", "exit 0"]).status === 0;
}

describe.skipIf(!has("bash"))("bash", () => {
  // Of files and directories we say nothing: bash offers them itself.
  const ours = cases.filter(([, words]) => !words.includes("state/"));

  test.each(ours)("%s", (line, words) => {
    const typed = line.split(" ").map((word) => `'${word}'`);
    const script = `source ./agent.bash; COMP_WORDS=(${typed.join(" ")}); COMP_CWORD=${typed.length - 1}; _agent; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const said = execFileSync("bash", ["-c", script], { cwd: directory, encoding: "utf8" });
    expect(sorted(said.split("\n"))).toEqual(sorted(words));
  });

  test("a flag and its value in one word, and another program's words", () => {
    const script =
      "source ./agent.bash; COMP_WORDS=(agent connect --log-level = w); COMP_CWORD=4; _agent; printf '%s\\n' \"${COMPREPLY[@]}\"; COMP_WORDS=(agent connect -- --p); COMP_CWORD=3; _agent; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const said = execFileSync("bash", ["-c", script], { cwd: directory, encoding: "utf8" });
    expect(said).toBe("warn\n\n");
  });
});

/** What a command gets when Tab is pressed behind `line` and then Enter, in an interactive bash. */
function pressed(line: string, cwd: string): string {
  const keys = `source ${directory}/agent.bash; agent() { printf '<%s>' "$@"; echo; }\n${line}\t\nexit\n`;
  const { stdout } = spawnSync("bash", ["--norc", "--noprofile", "-i"], {
    cwd,
    encoding: "utf8",
    input: keys,
    timeout: 10_000,
  });
  return stdout.trim().split("\n").at(-1) ?? "";
}

describe.skipIf(!has("bash"))("bash, where a file's name would be a command", () => {
  let hostile = "";

  beforeAll(() => {
    hostile = mkdtempSync(join(tmpdir(), "sluice-test-"));
    for (const name of ["y;touch made", "z>made"]) writeFileSync(join(hostile, name), "");
    for (const name of ["d $(touch made)", "state"]) mkdirSync(join(hostile, name));
  });

  afterAll(() => rmSync(hostile, { recursive: true }));

  test.each([
    ["agent connect --token-file y", "<connect><--token-file><y;touch made>"],
    ["agent connect --token-file=y", "<connect><--token-file=y;touch made>"],
    ["agent connect --token-file z", "<connect><--token-file><z>made>"],
    ["agent connect -- y", "<connect><--><y;touch made>"],
    ["agent edge --data d", "<edge><--data><d $(touch made)/>"],
    ["agent edge --data st", "<edge><--data><state/>"],
  ])("%s", (line, words) => {
    expect(pressed(line, hostile)).toBe(words);
    expect(existsSync(join(hostile, "made"))).toBe(false);
  });
});

describe.skipIf(!has("fish"))("fish", () => {
  test.each(cases)("%s", (line, words) => {
    const script = `source ./agent.fish; complete -C '${line}'`;
    const env = { ...process.env, HOME: directory };
    const said = execFileSync("fish", ["-N", "-c", script], {
      cwd: directory,
      encoding: "utf8",
      env,
    });
    expect(sorted(said.split("\n").map((each) => each.split("\t")[0] ?? ""))).toEqual(
      sorted(words),
    );
  });
});

describe.skipIf(!has("zsh"))("zsh", () => {
  test.each(cases)("%s", (line, words) => {
    const said = zsh(line);
    for (const word of words) expect(said).toContain(word.replace(/\/$/, ""));
  });

  test("nothing is offered that belongs elsewhere", () => {
    expect(zsh("agent token --r")).not.toContain("--replace");
  });
});

/** What an interactive zsh shows when Tab is pressed, twice because the first may only beep. */
function zsh(line: string): string {
  const script = `zmodload zsh/zpty
zpty z zsh -f -i
read_until() { local out="" chunk; while [[ $out != *$1* ]]; do zpty -r z chunk || break; out+=$chunk; done; print -r -- $out }
zpty -w z 'PS1=""; autoload -U compinit; compinit -u -D; source ./agent.zsh; bindkey "^I" list-choices; bindkey "^X" complete-word; print re""ady'
read_until ready >/dev/null
zpty -w -n z '${line}'$'\\t\\x18\\x01: \\n'
zpty -w z 'print do""ne'
read_until done`;
  return execFileSync("zsh", ["-f", "-c", script], {
    cwd: directory,
    encoding: "utf8",
    env: { ...process.env, HOME: directory, TERM: "dumb" },
    timeout: 10_000,
  });
}

test("a script is on stdout, and its shell finds no mistake in it", async () => {
  const program = Program.agent(["completion", "bash"]);
  expect(await program.exit()).toMatchObject({ code: 0 });
  expect(`${program.lines.join("\n")}\n`).toBe(bashCompletion("agent", places));
});

test("another shell is exit code 2, and a sentence", async () => {
  const program = Program.agent(["completion", "tcsh"]);
  expect(await program.exit()).toMatchObject({ code: 2 });
  expect(program.stderr).toContain('must be bash, zsh or fish, not "tcsh"');
});

test("every command and every flag that is not hidden is known", () => {
  const paths = places.map(({ path }) => path.join(" "));
  for (const each of ["", "connect", "edge", "token", "doctor", "config check", "completion"]) {
    expect(paths).toContain(each);
  }
  const connect = places.find(({ path }) => path[0] === "connect");
  expect(connect?.flags.flatMap(({ names }) => names)).toContain("--no-rewrite-location");
  expect(connect?.flags.flatMap(({ names }) => names)).not.toContain("--rewrite-location");
});
