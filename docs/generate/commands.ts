/**
 * `docs/commands.md`: every command with every flag, its environment variable and what it is for, from the command line's own
 * description of itself. What `--json` prints and what the exit codes mean stands beside it.
 */
import type { Command, Option } from "commander";
import { newProgram } from "../../agent/commands/program.ts";
import { exits } from "../../agent/config/usage.ts";
import { cell, generated } from "./generated.ts";

const meaning: Record<keyof typeof exits, string> = {
  clean: "it did what was asked, or drained after one signal",
  runtime: "something failed while it ran",
  usage: "the command line, the environment or the configuration file is wrong",
  authentication: "the edge refused the token; trying again cannot help",
  version: "edge and agent do not speak the same version of the protocol",
  interrupted: "a second Ctrl-C ended it at once",
  terminated: "a second SIGTERM ended it at once",
};

/** What each event of `--json` says beside `event` and `at`. A test compares the names with `agent/events.ts`. */
const events: readonly (readonly [name: string, fields: string, when: string])[] = [
  ["listening", "url", "`agent edge` answers there"],
  ["inspector", "url", "the page that shows exchanges is there"],
  ["metrics", "url", "metrics are there, and `/ready` beside them"],
  [
    "connected",
    "url, service, session, rttMs, origin, concurrency, again, visitors?, shard?",
    "requests can come; `again` when an earlier session was lost; `visitors` is the edge's `VISITORS`",
  ],
  [
    "disconnected",
    "code, reason, retryMs, shard?",
    "there is no connection; it is tried again in `retryMs`",
  ],
  [
    "resumed",
    "session, streams, rttMs, shard?",
    "another connection, and `streams` requests went on over it",
  ],
  [
    "roundTrip",
    "rttMs, shard?",
    "a ping was answered: one is sent every 20 s, every 5 s while requests are in flight",
  ],
  [
    "origin",
    "origin, up, ms, reason?",
    "whether something takes connections at the origin, asked once at the start",
  ],
  ["shards", "shards", "over how many objects the edge spreads the service from now on"],
  ["replaced", "", "another agent has taken over with `--replace`"],
  ["draining", "inFlight, graceMs", "it was asked to end, and finishes what is in flight"],
  [
    "request",
    "id, method, path, status, ms, bytesIn, bytesOut, outcome, reason?",
    "a request has ended; `outcome` is `ok` or a [code](errors.md)",
  ],
  ["warning", "code, message", "something is allowed and dangerous"],
  ["error", "code, message", "something failed; the codes are in [errors](errors.md)"],
];

/** The fields of each event that the page lists. */
export const eventFields: ReadonlyMap<string, string> = new Map(
  events.map(([name, fields]) => [name, fields]),
);

function flagRow({ flags, envVar, description, argChoices }: Option): string {
  const words = argChoices === undefined ? "" : `: ${argChoices.join(", ")}`;
  const variable = envVar === undefined ? "" : `\`${envVar}\``;
  return `| \`${flags.replaceAll("|", "\\|")}\` | ${variable} | ${cell(description + words)} |`;
}

/** The flags of a command, under the headings of its help. */
function flagTables(command: Command): string {
  const shown = command.options.filter(({ hidden }) => !hidden);
  const groups = Map.groupBy(shown, ({ helpGroupHeading }) => helpGroupHeading ?? "");
  const tables = Array.from(groups, ([heading, options]) => {
    const title = heading === "" ? "" : `${heading}\n\n`;
    return `${title}| flag | variable | |\n|---|---|---|\n${options.map(flagRow).join("\n")}`;
  });
  return tables.join("\n\n");
}

/** A command and those below it: those that only hold others have no part of their own. */
function* parts(command: Command, path: string): Generator<string> {
  for (const each of command.commands) {
    const name = `${path} ${each.name()}`;
    if (each.commands.length === 0) {
      const operands = each.registeredArguments.map((argument) => {
        const of = argument.variadic ? `${argument.name()}…` : argument.name();
        return `\`${of}\`: ${cell(argument.description)}`;
      });
      const about = [`## ${name}`, sentence(each.description()), ...operands];
      const flags = flagTables(each);
      yield [...about, ...(flags === "" ? [] : [flags])].join("\n\n");
    }
    yield* parts(each, name);
  }
}

function sentence(text: string): string {
  return text === "" ? "" : `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}

export function commandsPage(): string {
  const program = newProgram(() => Promise.resolve());
  const codes = Object.entries(exits).map(
    ([name, code]) => `| ${code} | ${meaning[name as keyof typeof exits]} |`,
  );
  const rows = events.map(([name, fields, when]) => `| \`${name}\` | ${fields} | ${when} |`);
  return generated(`# Commands

From a checkout every command is run by \`npx agent …\`. A flag wins over its environment variable, and both win over a [configuration file](origins.md#several-services).
Secrets have no flag: they come from a file, from standard input (\`-\`) or from \`AGENT_TOKEN\` and \`TUNNEL_SECRET\`, because every user of a machine sees the flags of its processes.

${[...parts(program, "agent")].join("\n\n")}

## Exit codes

| code | |
|---|---|
${codes.join("\n")}

\`npx\` says 130 after every Ctrl-C and 143 after SIGTERM. A supervisor that wants these codes runs \`node_modules/.bin/node bin/agent.js connect …\`.

## Events

With \`--json\` each is one line on stdout, \`{"event": "<name>", "at": <milliseconds since 1970>, …}\`; people's lines stay on stderr. When one agent has several services each has its \`service\`.

| event | fields | |
|---|---|---|
${rows.join("\n")}
`);
}
