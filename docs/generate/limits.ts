/**
 * The table of `docs/limits-and-cost.md`: numbers are read where the program has them, never typed here.
 *
 * What the kernel and the agent export is imported. The edge is read as text: it can be imported only in a Worker.
 */
import { readFileSync } from "node:fs";
import { connectConfig, edgeConfig, tokenConfig } from "../../agent/config/config.ts";
import type { Given } from "../../agent/config/given.ts";
import { MIN_SECRET_CHARS } from "../../agent/config/secret.ts";
import * as limits from "../../codec/limits.ts";

const root = new URL("../../", import.meta.url);

/** A number that a file has under this name, with the sums and units that people write there. @throws Error when it has none */
export function numberIn(file: string, name: string): number {
  const source = readFileSync(new URL(file, root), "utf8");
  const text = new RegExp(`\\b${name}(?: =|:) ([\\d_* KMiB]+?)\\s*[;,}]`).exec(source)?.[1] ?? "";
  const factors = text
    .replaceAll("_", "")
    .split("*")
    .map((part) => ({ KiB: 1024, MiB: 1024 ** 2 })[part.trim()] ?? Number(part));
  const product = factors.reduce((all, factor) => all * factor, 1);
  if (text === "" || !Number.isFinite(product)) throw new Error(`${file} has no number ${name}`);
  return product;
}

const given = (text: string): Given => ({ text, from: "", flag: true });

/** What a command does where nothing is said. */
const defaults = {
  connect: connectConfig({
    edge: given("https://edge.example"),
    service: given("shop"),
    port: given("4000"),
  }),
  edge: edgeConfig({}),
  token: tokenConfig({ service: given("shop") }),
};

function bytes(count: number): string {
  const [unit, size] = count % 1024 ** 2 === 0 ? ["MiB", 1024 ** 2] : ["KiB", 1024];
  return count % 1024 === 0 ? `${grouped(count / size)} ${unit}` : `${grouped(count)} bytes`;
}

function time(ms: number): string {
  const units = [
    ["day", 86_400_000],
    ["hour", 3_600_000],
    ["minute", 60_000],
  ] as const;
  for (const [unit, size] of units) {
    if (ms % size === 0) return ms === size ? `1 ${unit}` : `${grouped(ms / size)} ${unit}s`;
  }
  return `${grouped(ms / 1000)} s`;
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

type Rows = readonly (readonly [what: string, value: string, beyond: string, name: string])[];

const sections: readonly (readonly [title: string, rows: Rows])[] = [
  [
    "Requests and answers",
    [
      [
        "a head, in bytes",
        bytes(limits.MAX_HEAD_BYTES),
        "431 `head-too-large`; 502 `origin-invalid` for an answer's",
        "`MAX_HEAD_BYTES`",
      ],
      [
        "fields of a head, or of trailers",
        grouped(limits.MAX_HEADER_FIELDS),
        "the same",
        "`MAX_HEADER_FIELDS`",
      ],
      [
        "path and query",
        `${grouped(limits.MAX_PATH_CHARS)} characters`,
        "400 `bad-request`",
        "`MAX_PATH_CHARS`",
      ],
      [
        "a method's name",
        `${grouped(limits.MAX_METHOD_CHARS)} characters`,
        "400 `bad-request`",
        "`MAX_METHOD_CHARS`",
      ],
      ["bodies", "none", "Cloudflare's own, [below](#what-cloudflare-limits)", ""],
      [
        "time until an answer begins",
        time(defaults.connect.originTimeoutMs),
        "504 `origin-timeout`",
        "`--origin-timeout`",
      ],
      ["time that an answer or an upload takes", "none", "", ""],
      [
        "time until the origin takes a connection",
        time(numberIn("agent/origin/answer.ts", "CONNECT_TIMEOUT_MS")),
        "502 `origin-refused`",
        "`CONNECT_TIMEOUT_MS`",
      ],
      [
        "patience with an origin that refuses, as one that restarts",
        time(numberIn("agent/origin/patience.ts", "WINDOW_MS")),
        "502 `origin-refused`",
        "`WINDOW_MS`",
      ],
      [
        "a message of the origin's to a visitor's WebSocket",
        bytes(numberIn("edge/visitor-socket.ts", "MAX_SOCKET_MESSAGE_BYTES")),
        "it is closed with 1014",
        "`MAX_SOCKET_MESSAGE_BYTES`",
      ],
      [
        "a visitor's messages that the origin has not read",
        bytes(numberIn("edge/socket-memory.ts", "MAX_UNREAD_BYTES")),
        "it is closed with 1013",
        "`MAX_UNREAD_BYTES`",
      ],
      [
        "the same of all visitors of an object",
        bytes(numberIn("edge/socket-memory.ts", "MAX_ALL_UNREAD_BYTES")),
        "the one with most is closed with 1013",
        "`MAX_ALL_UNREAD_BYTES`",
      ],
      [
        "what a visitor has not read of its origin's messages",
        bytes(numberIn("edge/socket-memory.ts", "MAX_UNSENT_BYTES")),
        "the origin waits",
        "`MAX_UNSENT_BYTES`",
      ],
      [
        "the same of all visitors of an object",
        bytes(numberIn("edge/socket-memory.ts", "MAX_ALL_UNSENT_BYTES")),
        "the origins of those who are behind wait",
        "`MAX_ALL_UNSENT_BYTES`",
      ],
    ],
  ],
  [
    "How much at once",
    [
      [
        "requests at the origin, per agent",
        grouped(defaults.connect.concurrency),
        "the others wait in the agent",
        "`--concurrency`",
      ],
      [
        "requests open, per agent and object",
        grouped(limits.MAX_STREAMS),
        "503 `overloaded`",
        "`MAX_STREAMS`",
      ],
      [
        "agents, per object",
        `${grouped(numberIn("edge/correlator.ts", "MAX_AGENTS"))}, and one that takes over (\`--replace\`)`,
        "429 `too-many-agents`",
        "`MAX_AGENTS`",
      ],
      [
        "objects of a service",
        `${grouped(defaults.edge.shards)}, at most ${grouped(numberIn("edge/shards.ts", "MAX_SHARDS"))}`,
        "500 or more requests a second and object: [shards](scaling.md)",
        "`SHARDS`",
      ],
      [
        "requests that wait for an agent expected back",
        grouped(numberIn("edge/correlator.ts", "most")),
        "503 `agent-offline` at once",
        "`WAITING_LIMITS`",
      ],
      [
        "heads of those that wait, together",
        bytes(numberIn("edge/correlator.ts", "mostBytes")),
        "the same",
        "`WAITING_LIMITS`",
      ],
      [
        "memory promised for bodies, per object and per agent",
        bytes(limits.BUDGET_BYTES),
        "windows become small, then 503 `overloaded`",
        "`BUDGET_BYTES`",
      ],
      [
        "window of one body",
        `${bytes(limits.MIN_WINDOW_BYTES)} to ${bytes(limits.MAX_WINDOW_BYTES)}`,
        "the sender waits",
        "`MIN_WINDOW_BYTES`, `MAX_WINDOW_BYTES`",
      ],
      [
        "kept by the edge until the agent has it, per session",
        bytes(limits.EDGE_RETAIN_BYTES),
        "the edge waits",
        "`EDGE_RETAIN_BYTES`",
      ],
      [
        "kept by the agent until the edge has it, per session",
        bytes(limits.AGENT_RETAIN_BYTES),
        "the agent waits",
        "`AGENT_RETAIN_BYTES`",
      ],
    ],
  ],
  [
    "Connections that break",
    [
      [
        "grace: how long what is in flight waits for the agent's next connection",
        `${time(defaults.edge.graceMs)}, at most ${time(limits.MAX_GRACE_MS)}`,
        "502 `agent-lost`, or a cut answer",
        "`GRACE_SECONDS`, `agent edge --grace`",
      ],
      [
        "a dead connection is noticed by the agent, with requests in flight",
        time(
          numberIn("agent/connection/dial.ts", "BUSY_PING_MS") +
            numberIn("agent/connection/dial.ts", "PONG_WITHIN_MS"),
        ),
        "it dials again",
        "`BUSY_PING_MS`, `PONG_WITHIN_MS`",
      ],
      [
        "the same, with none",
        time(
          numberIn("agent/connection/dial.ts", "IDLE_PING_MS") +
            numberIn("agent/connection/dial.ts", "PONG_WITHIN_MS"),
        ),
        "it dials again",
        "`IDLE_PING_MS`",
      ],
      [
        "a silent agent is noticed by the edge, with requests in flight",
        time(limits.DEAD_AFTER_MS),
        "the grace begins",
        "`DEAD_AFTER_MS`",
      ],
      [
        "until the edge or a proxy has answered a dial",
        time(numberIn("agent/connection/dial.ts", "HANDSHAKE_TIMEOUT_MS")),
        "it dials again",
        "`HANDSHAKE_TIMEOUT_MS`",
      ],
      [
        "between two dials while the edge may still wait",
        `up to ${time(numberIn("agent/connection/backoff.ts", "URGENT_CAP_MS"))}`,
        "",
        "`URGENT_CAP_MS`",
      ],
      [
        "between two dials later",
        `up to ${time(numberIn("agent/connection/backoff.ts", "BACKOFF_CAP_MS"))}`,
        "",
        "`BACKOFF_CAP_MS`",
      ],
      [
        "how long an agent that is asked to end finishes",
        time(defaults.connect.graceMs),
        "503 `shutting-down`, or a cut answer",
        "`agent connect --grace`",
      ],
      [
        "how long `agent edge` that is asked to end finishes",
        time(defaults.edge.drainMs),
        "what is left is cut",
        "`agent edge --drain`",
      ],
    ],
  ],
  [
    "Names, secrets and tokens",
    [
      [
        "the secret",
        `at least ${MIN_SECRET_CHARS} characters`,
        "the edge answers `internal-error`; the agent refuses to sign",
        "`TUNNEL_SECRET`",
      ],
      [
        "a token's life",
        time(defaults.token.expiresMs),
        "401 `unauthorized`; agents that are connected stay",
        "`agent token --expires`",
      ],
      [
        "a token",
        `${grouped(numberIn("edge/auth.ts", "MAX_TOKEN_CHARS"))} characters`,
        "401 `unauthorized`",
        "`MAX_TOKEN_CHARS`",
      ],
      ["a service's name", "63 characters: a to z, 0 to 9, inner hyphens", "404 `no-route`", ""],
    ],
  ],
];

export function limitsTables(): string {
  const tables = sections.map(([title, rows]) => {
    const lines = rows.map((cells) => `| ${cells.join(" | ")} |`);
    return `### ${title}\n\n| | limit | beyond it | name |\n|---|---|---|---|\n${lines.join("\n")}`;
  });
  return tables.join("\n\n");
}
