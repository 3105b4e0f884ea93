/**
 * `docs/errors.md`: every code of the error table and of the agent's own, who meets it, and what to do.
 *
 * What happened is the tables' own sentence; only where it shows and what helps is written here. A code without an entry does not
 * compile.
 */
import { agentCodes } from "../../agent/codes.ts";
import { type ErrorCode, errors } from "../../codec/errors.ts";
import { cell, generated } from "./generated.ts";

interface Advice {
  /** What a visitor meets, where that is not the status of the table. */
  readonly visitor?: string;
  /** What the agent's person meets, in its log or as its end. */
  readonly agent: string;
  /** What to do next, and who. */
  readonly next: string;
}

const ofTheTable: Record<ErrorCode, Advice> = {
  "not-needed": {
    visitor: "nothing: the answer is complete",
    agent: "nothing",
    next: "Nothing. It travels when an answer is complete before its request's body is, so that the rest of the upload stops.",
  },
  "protocol-error": {
    agent:
      "`disconnected: … (protocol-error)` with the fault in words, and a new connection at once",
    next: "Compare the versions: `agent --version` beside `versions` in `/status/<service>`, and update the older one. If they match, something on the way may have changed the bytes: connect once from another network. Otherwise report it with the line of the agent's log.",
  },
  "internal-error": {
    agent:
      "`error: A fault of the agent's own ended the session` if the fault was the agent's; it dials again",
    next: 'Look for `"event":"fault"` in the log of the edge (`npx wrangler tail` on Cloudflare): its `message` says what. Most often it is the configuration: TUNNEL_SECRET missing or shorter than 32 characters, or a value of VISITORS, SHARDS, GRACE_SECONDS or LOCATION_HINT that means nothing. Anything else is a fault of Sluice: please report the message and its stack.',
  },
  "flow-control-error": {
    agent: "`disconnected: … (flow-control-error)`, and a new connection at once",
    next: "As for [`protocol-error`](#protocol-error): an edge and an agent of this repository never do it, whatever visitors do.",
  },
  "frame-too-large": {
    agent: "`disconnected: … (frame-too-large)`, and a new connection at once",
    next: "As for [`protocol-error`](#protocol-error). The sizes are in [limits](limits-and-cost.md).",
  },
  cancelled: {
    visitor: "nothing: it went away (499 in logs)",
    agent: "`499 … cancelled` in the line of the request",
    next: "Nothing: that visitors leave is normal, and the request to the origin was ended with them. If there are many, look how long the origin takes: browsers, CDNs and webhook senders give up after times of their own.",
  },
  "body-mismatch": {
    visitor: "502, or an answer that is cut in the middle",
    agent: "`body-mismatch` in the line of the request",
    next: "Look at the origin: its Content-Length is not what it sends, often because something compresses or rewrites the body after the length was set. `curl -v` straight to the origin shows the same.",
  },
  "head-too-large": {
    agent: "nothing: the request never leaves the edge",
    next: "Send fewer or smaller headers; nearly always it is cookies that have piled up. The limit cannot be raised.",
  },
  overloaded: {
    agent: "nothing, or `overloaded` in the line of a request that the agent refused",
    next: "Read `/status/<service>`: many `streams` mean an origin that is slower than what arrives (raise `--concurrency` if it can take more, or connect a second agent), much `promisedBytes` means visitors that do not read. When one object is not enough: [shards](scaling.md).",
  },
  draining: {
    agent: "`draining: …` when it was told to end",
    next: "Wait: it ends with the restart of the agent. To update without a gap start the new agent with `--replace` before the old one ends; it takes over at once.",
  },
  "agent-lost": {
    visitor: "502, or an answer that is cut in the middle",
    agent: "`disconnected: … (agent-lost)`, and a new connection at once",
    next: "Look at the agent's log of that moment: it was killed, its network was away for longer than the grace (15 s; `GRACE_SECONDS`, or `agent edge --grace`), or the edge was deployed anew. A visitor may repeat a request that is safe to repeat.",
  },
  "agent-stalled": {
    agent:
      "nothing while it hangs; then `disconnected: no sign of life …`, and a new connection at once",
    next: "The agent's process stood still or its network swallowed everything for 25 s and the grace after it. Look at the CPU and memory of its machine, and whether it slept.",
  },
  "agent-offline": {
    agent: "nothing: there is none",
    next: "Start `agent connect` for this service, with the service's exact name. If one runs, its log says why it is not connected; `/status/<service>` shows what the edge knows.",
  },
  "origin-refused": {
    agent: "`502 … origin-refused: connect ECONNREFUSED …`, or what else the system said",
    next: "Start the server, or correct `--port` or `--origin`: `curl` the address that the agent prints behind `Origin` on the agent's machine. For a certificate that is not trusted `--origin-ca` names whom to believe. The agent itself need not be restarted when the server comes back.",
  },
  "origin-reset": {
    visitor: "502, or an answer that is cut in the middle",
    agent: "`origin-reset: …` in the line of the request, with the system's words",
    next: "Read the origin's log: it crashed, restarted, or closes connections that are idle or long. A request that is safe to repeat was already repeated once if a kept connection had ended.",
  },
  "origin-timeout": {
    agent: "`504 … origin-timeout` in the line of the request",
    next: "Find out why the origin takes so long, or raise `--origin-timeout` (10 minutes unless said otherwise, 0 for ever). CDNs and browsers have limits of their own, often 100 s.",
  },
  "origin-invalid": {
    agent: "`502 … origin-invalid: …` in the line of the request, with what was wrong",
    next: "See that an HTTP server is at that port: `http://` where it speaks TLS, a database, or HTTP/2 alone (use `h2c://`) look like this. Otherwise its answer's head is over 64 KiB or 256 fields, or not valid HTTP.",
  },
  "bad-request": {
    agent: "nothing: the request never leaves the edge",
    next: "Correct the client: it sends both Content-Length and Transfer-Encoding, a length that is no number, a coding other than chunked, or a host with illegal characters. An agent gets it for a `Sluice-Agent` or `shard` that is none.",
  },
  unauthorized: {
    agent: "`error: The edge refused the token: …`, exit code 4",
    next: "The agent's line says which it is: expired, for another service, for visitors, or signed with another secret. Make a new one with `agent token --service <name> --secret-file tunnel.secret` (the edge's secret). Visitors send theirs as `sluice-token`; they need one only with VISITORS=token.",
  },
  "no-route": {
    agent: "`disconnected: … (no-route)` if `--service` or the path in `--edge` is wrong",
    next: "Use `/send/<service>/<path>`, or `<service>.<domain>` if the edge has a TUNNEL_DOMAIN (`agent edge --domain`). A service's name is one lower-case label: a to z, 0 to 9 and -, at most 63 characters. `--edge` is the edge's address without a path.",
  },
  "too-many-agents": {
    agent:
      "`not let in: … (too-many-agents); next try in …`, once; it tries again every 30 s or more",
    next: "End an agent of this service that is not needed: 64 may be connected to an object at once, and [`/status/<service>`](status-and-metrics.md#the-status-page) lists them. Or start the new one with `--replace`: it is let in beside the others, which finish what they have and end. One that crashed counts until the edge's grace is over (15 s). More capacity comes from `--concurrency` and from [shards](scaling.md), not from more agents.",
  },
  "upgrade-required": {
    agent: "`error: …`, exit code 5",
    next: "Update the older of edge and agent. If both are of one version, a proxy on the way takes the upgrade to a WebSocket out of the request: [company networks](company-networks.md). A browser that opens `/websocket/…` gets this too: visitors go to `/send/…`.",
  },
  replaced: {
    visitor: "nothing: what was in flight is finished",
    agent:
      "`another agent has taken over with --replace`; it finishes what it has and ends with 0. With exit code 1 it is `error: Another connection with this agent's identity took its place`",
    next: "Nothing: the other agent serves. If you did not start one look who holds a token for this service.",
  },
  "shutting-down": {
    agent: "the end of the agent, after its grace or a second signal",
    next: "Give the agent a longer `--grace` if requests take longer than 30 s to finish, and end it with one signal.",
  },
};

const ofTheAgent: Record<keyof typeof agentCodes, Advice> = {
  usage: {
    agent:
      "`error: … (usage)`, or commander's own line for a flag that does not exist; exit code 2",
    next: "Read the line: it says what was wrong and what is expected. `agent <command> --help` lists the flags, [commands](commands.md) has all of them on a page.",
  },
  failed: {
    agent: "`error: … (failed, …)`, exit code 1",
    next: "Read the line: it quotes the system or workerd. A port that is taken is the most common; choose another with `--port`.",
  },
  "command-ended": {
    agent: "`error: … (command-ended, …)`, and the command's own exit code (1 if that was 0)",
    next: "Read what the command printed above. If it goes into the background and listens there, start it yourself and give its `--port`.",
  },
  "proxy-unauthorized": {
    agent:
      "`error: … (proxy-unauthorized, …)`, exit code 2; only at the start, later it is tried again",
    next: "Put the credentials into the variable that the line names, as `http://user:password@proxy:3128` or `socks5h://user:password@proxy:1080`; for NTLM and Kerberos run px or cntlm on this machine. See [company networks](company-networks.md).",
  },
  "edge-unreachable": {
    agent: "`cannot reach the edge: …; next try in …`, and it tries for ever",
    next: "Read the words in the middle: a name that does not resolve (`ENOTFOUND`) is a typing error in `--edge` or no network; a refused connection means that no edge listens there; a certificate or a proxy is explained in [company networks](company-networks.md).",
  },
  "not-connected": {
    agent: "`warning: … (not-connected, …)`, once, while it goes on dialling",
    next: "Run `npx agent doctor` with the same flags: it looks at the name, the network, the proxy, the certificate, the edge and the token one after the other, and says what to do about the first that fails.",
  },
  "not-encrypted": {
    agent: "`warning: … (not-encrypted, …)`",
    next: "Put TLS in front of the edge, and give its `https://` URL.",
  },
  "insecure-origin": {
    agent: "`warning: … (insecure-origin, …)`",
    next: "Give `--origin-ca <PEM file>` with the server's certificate or its authority instead.",
  },
  "name-refused": {
    agent:
      "`warning: … (name-refused, …)`, once: a 403 of the server's says so, or it refused a WebSocket to a page of its own",
    next: "Start the server behind `--`, or give `--no-public-name`: it then believes that it is visited at its own address. Or allow the name in the server's own settings ([host checks](dev-servers.md#host-checks)).",
  },
  "metrics-exposed": {
    agent: "`warning: … (metrics-exposed, …)`",
    next: "Give `--metrics 9090` for this machine alone. In a container or a cluster, where the scraper is elsewhere: let only it reach the port, by a network of its own or a firewall.",
  },
  "lines-dropped": {
    agent:
      "`warning: 12 lines were dropped here because nobody read what came before. (lines-dropped, …)`, where the gap is",
    next: "Look why the reader stalls: a log collector that is down, a pager, a program that waits for the agent while the agent's pipe is full. Fewer lines: `--log-level warn`; `--json` has every event.",
  },
  "not-ready": {
    agent: "`error: … (not-ready, …)`, exit code 1 of `agent ready`",
    next: "Read the line: it names the services that are not connected, or says that nobody answers. Then what `agent connect` printed, or `agent doctor` with its flags.",
  },
};

/** A heading of its own for each code: its anchor is the code. */
function entry(code: string, says: string, facts: readonly [string, string][]): string {
  const list = facts.map(([what, text]) => `- **${what}**: ${text}`);
  return [`### ${code}`, "", cell(says), "", ...list].join("\n");
}

function tableEntry(code: ErrorCode): string {
  const { status, retryable, ends, wire, says } = errors[code];
  const { visitor, agent, next } = ofTheTable[code];
  const again = retryable ? "; it certainly did not reach the origin, so it is safe to repeat" : "";
  const close = ends === "session" ? `, WebSocket close code ${4000 + wire}` : "";
  return entry(code, says, [
    [
      "A visitor gets",
      visitor ?? `${status}${status === 503 ? " with `Retry-After`" : ""}${again}`,
    ],
    ["The agent shows", agent],
    ["On the wire", `${wire}${close}`],
    ["What to do next", next],
  ]);
}

function agentEntry(code: keyof typeof agentCodes): string {
  const { event, says } = agentCodes[code];
  const { agent, next } = ofTheAgent[code];
  return entry(code, says, [
    ["The agent shows", agent],
    ["Event of `--json`", `\`${event}\``],
    ["What to do next", next],
  ]);
}

export function errorsPage(): string {
  const ofTable = Object.keys(errors) as ErrorCode[];
  const ofAgent = Object.keys(agentCodes) as (keyof typeof agentCodes)[];
  const rows = ofTable.map((code) => {
    const { status, ends, says } = errors[code];
    return `| [\`${code}\`](#${code}) | ${status} | ${ends} | ${cell(says)} |`;
  });
  const ownRows = ofAgent.map((code) => {
    const { event, says } = agentCodes[code];
    return `| [\`${code}\`](#${code}) | ${event} | ${cell(says)} |`;
  });
  return generated(`# Errors

Everything that goes wrong has a code. Where to find it:

- **A visitor's answer**: the header \`sluice-error: <code>\`, and the body, in brackets behind one sentence; JSON (\`{"error", "message"}\`) when \`Accept\` asks for it. An answer
  without \`sluice-error\` is the origin's own, whatever its status. An answer that had begun when something failed is cut: its connection closes early.
- **The agent's log**: in brackets at the end of the line, with its place on this page, or in the line of the request. With \`--json\` it is the event's \`code\`, or the \`outcome\` of a \`request\`.
- **The WebSocket**: a close code from 4000 is 4000 and the code's number, with the code in the reason.
- **\`/status/<service>\`**: \`totals.failures\` counts them.

## The error table

One table for visitors, agents and the wire ([\`codec/errors.ts\`](../codec/errors.ts)); [the protocol](../codec/PROTOCOL.md#errors) says which number is what.

| code | HTTP status | ends | what happened |
|---|---|---|---|
${rows.join("\n")}

## The agent's own codes

| code | event | what happened |
|---|---|---|
${ownRows.join("\n")}
| [\`http-<status>\`](#http-status) | disconnected | Something answered the agent's upgrade with this status, and it was not the edge. |

## Each code

${ofTable.map(tableEntry).join("\n\n")}

## Each code of the agent's own

${ofAgent.map(agentEntry).join("\n\n")}

${entry(
  "http-status",
  "Something answered the agent's upgrade to a WebSocket with this status (`http-502`, `http-403`, …), and it was not the edge, whose answers have `sluice-error`.",
  [
    ["The agent shows", "`disconnected: … (http-403)`, with what it answered; it tries again"],
    ["Event of `--json`", "`disconnected`"],
    [
      "What to do next",
      "For 429 and 5xx wait: a gateway in front of the edge has trouble. For anything else see whether `--edge` is right, and whether a proxy on the way lets WebSockets pass: [company networks](company-networks.md).",
    ],
  ],
)}
`);
}
