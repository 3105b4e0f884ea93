/**
 * Commands that pages show: those of the README are run (`test/e2e/readme.test.ts`); of the others the flags, scripts, files and
 * programs are there.
 */
import { existsSync } from "node:fs";
import { CommanderError } from "commander";
import { describe, expect, test } from "vitest";
import { newProgram } from "../../agent/commands/program.ts";
import { codeOf, fencesOf, pagesOfRepository, read, root } from "./markdown.ts";

interface PackageJson {
  readonly scripts: Readonly<Record<string, string>>;
}
const { scripts } = JSON.parse(read("package.json")) as PackageJson;

/** Programs of others that pages may use: they come with the system, or the page says where from. */
const others = new Set(
  (
    "cat cd chmod chown cp curl docker echo export git install journalctl kill ln mkdir mv openssl perf printf privoxy " +
    "px python3 rm sleep sudo systemctl systemd-analyze tail useradd caddy nginx apt apt-get podman head jq " +
    "grep wc umask install docker-compose tee certbot sed"
  ).split(" "),
);

/** The subcommands of wrangler that pages may use. */
const wrangler = [
  "delete",
  "deploy",
  "deployments list",
  "dev",
  "login",
  "rollback",
  "secret bulk",
  "secret put",
  "secret delete",
  "secret list",
  "tail",
  "whoami",
];

/** The words of a command, as a shell splits them, as far as pages need it. */
function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [, double, single, plain] of line.matchAll(
    /"((?:\\.|[^"])*)"|'([^']*)'|([^\s"']+)/g,
  )) {
    words.push(double ?? single ?? plain ?? "");
  }
  return words;
}

/** The commands of a shell text: comments and redirections are none, a line that ends with a backslash goes on. */
function commandsOf(text: string): string[] {
  return (
    text
      .replaceAll(/\\\n/g, " ")
      // What a reader is to put in.
      .replaceAll(/<[a-z][^<>\n]*>/gi, "x")
      .split("\n")
      .map((line) => line.replace(/^\s*[$%] /, "").replace(/(^|\s)#.*$/, ""))
      .flatMap((line) => line.split(/ && | \|\| | \| | ; |;$/))
      .map((command) =>
        command
          .replaceAll(/\s\d?[<>]{1,2}&?\s*\S+/g, " ")
          .replace(/&\s*$/, "")
          .trim()
          .replace(/^\((.*)$|^(.*)\)$/, "$1$2")
          .trim(),
      )
      .filter((command) => command !== "")
  );
}

/** What is wrong with a command; undefined when nothing is. */
async function faultOf(command: string): Promise<string | undefined> {
  // Variables in front, and what is left out.
  const all = wordsOf(command.replaceAll(/(?<=\s)(?:\[?…\]?|\.\.\.)(?=\s|$)/g, " "));
  while (/^[A-Za-z_]\w*=/.test(all[0] ?? "")) all.shift();
  let [program = "", ...rest] = all;
  if (program === "npx") {
    program = rest.shift() ?? "";
    if (!["agent", "wrangler", "vitest", "tsc", "oxlint", "oxfmt", "node"].includes(program)) {
      return `npx has no ${program} here`;
    }
  }
  if (program === "sudo" || program === "exec") [program = "", ...rest] = rest;
  if (/(?:^|\/)node$/.test(program)) {
    const file = rest.find((word) => /\.[mc]?[jt]s$/.test(word));
    if (file === undefined) return undefined;
    if (file.endsWith("bin/agent.js")) return agentFault(rest.slice(rest.indexOf(file) + 1));
    return existsSync(new URL(file, root)) ? undefined : `${file} is not there`;
  }
  switch (program) {
    case "agent":
      return agentFault(rest);
    case "npm":
      return npmFault(rest);
    case "wrangler": {
      const found = wrangler.some((known) => rest.join(" ").startsWith(known));
      return found ? undefined : `wrangler ${rest.join(" ")}`;
    }
    case "vitest": {
      const files = rest.filter((word) => word.startsWith("test/"));
      return files.find((file) => !existsSync(new URL(file, root)));
    }
    case "python3":
      return rest.find((word) => word.endsWith(".py") && !existsSync(new URL(word, root)));
    case "tsc":
    case "oxlint":
    case "oxfmt":
      return undefined;
    default:
      return others.has(program) ? undefined : `what is ${program}?`;
  }
}

/** Flags are parsed by the command line itself; commands are not run. */
async function agentFault(parameters: readonly string[]): Promise<string | undefined> {
  if (parameters.length === 0) return undefined;
  const program = newProgram(() => Promise.resolve());
  const silent = { writeOut: () => {}, writeErr: () => {} };
  const silence = (command: typeof program): void => {
    command.configureOutput(silent);
    command.commands.forEach((each) => silence(each as typeof program));
  };
  silence(program);
  try {
    await program.parseAsync([...parameters], { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // A flag that is only named, without its value, is there all the same.
    const fine = error.exitCode === 0 || error.code === "commander.optionMissingArgument";
    return fine ? undefined : error.message;
  }
}

function npmFault([command = "", ...rest]: readonly string[]): string | undefined {
  if (["ci", "install", "pack", "publish", "exec", "view", "init"].includes(command))
    return undefined;
  const name = command === "run" ? (rest[0] ?? "") : command;
  return name in scripts ? undefined : `npm has no script ${name}`;
}

const pages = pagesOfRepository();
const shells = new Set(["sh", "bash", "shell", "console", "zsh"]);

/** Every command in a fenced block of a shell, and every line of other blocks that is plainly one of ours. */
function shownBy(page: string): string[] {
  return fencesOf(read(page)).flatMap(({ language, text }) => {
    if (shells.has(language)) return commandsOf(text);
    if (language !== "") return [];
    return commandsOf(text).filter((line) => /^(?:npx agent|agent|npm) [a-z]/.test(line));
  });
}

/** Inline code that is a command of ours with a flag, or a script of ours. */
function mentionedBy(page: string): string[] {
  const lines = codeOf(read(page)).flatMap((code) => commandsOf(code));
  return lines.filter((line) =>
    /^(?:npx )?agent [a-z]+ .*-|^(?:npm run|npx (?:wrangler|vitest)) /.test(line),
  );
}

describe("the commands", () => {
  const shown = pages.map((page) => [page, [...shownBy(page), ...mentionedBy(page)]] as const);

  test.each(shown.filter(([, commands]) => commands.length > 0))(
    "of %s are there, with their flags",
    async (_, commands) => {
      const faults: [string, string][] = [];
      for (const command of commands) {
        const fault = await faultOf(command);
        if (fault !== undefined) faults.push([command, fault]);
      }
      expect(faults).toEqual([]);
    },
  );

  test("are many", () => {
    expect(shown.flatMap(([, commands]) => commands).length).toBeGreaterThan(60);
  });

  test.each([
    ["npx agent connect --prot 4000", "unknown option"],
    ["agent conect --port 4000", "unknown command"],
    ["npm run nothing", "no script"],
    ["npx wrangler destroy", "wrangler destroy"],
    ["frobnicate --now", "what is frobnicate?"],
    ["node nowhere.ts", "is not there"],
  ])("that are not there are noticed: %s", async (command, fault) => {
    expect(await faultOf(command)).toContain(fault);
  });

  test.each([
    "npx agent token --service shop --role visitor --expires 30d",
    "agent connect … -- npm run dev --port 3",
    "HTTPS_PROXY=http://proxy.example:3128 npx agent connect --port 4000",
    "node_modules/.bin/node bin/agent.js connect …",
  ])("that are there are let pass: %s", async (command) => {
    expect(await faultOf(command)).toBeUndefined();
  });
});
