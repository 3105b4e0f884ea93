/**
 * The one error table: what can go wrong, its number on the wire, whom it ends, and what a visitor sees.
 *
 * `PROTOCOL.md` repeats the table and a test compares the two.
 */

interface ErrorRule {
  /** The number in CANCEL and GOAWAY; 4000 + this number is the WebSocket close code. */
  readonly wire: number;
  /** What ends with it: one stream, the whole session, or a request that never became a stream. */
  readonly ends: "stream" | "session" | "request";
  /** The HTTP status a visitor gets when no byte of the answer was sent yet. */
  readonly status: number;
  /** Whether the request certainly never reached the origin, so that sending it again is safe whatever its method. */
  readonly retryable: boolean;
  /** One plain sentence: what happened and, where a person can act, what to do. */
  readonly says: string;
}

export const errors = {
  "not-needed": {
    wire: 0,
    ends: "stream",
    status: 502,
    retryable: false,
    says: "The rest of the request was not needed: the answer is already complete.",
  },
  "protocol-error": {
    wire: 1,
    ends: "session",
    status: 502,
    retryable: false,
    says: "The peer broke the protocol; the session was ended. Check that edge and agent are of matching versions.",
  },
  "internal-error": {
    wire: 2,
    ends: "stream",
    status: 502,
    retryable: false,
    says: "The tunnel failed by a fault of its own. Please report it with the log line of this moment.",
  },
  "flow-control-error": {
    wire: 3,
    ends: "session",
    status: 502,
    retryable: false,
    says: "The peer sent more than it was given credit for; the session was ended.",
  },
  "frame-too-large": {
    wire: 4,
    ends: "session",
    status: 502,
    retryable: false,
    says: "The peer sent a frame or a message above the limit; the session was ended.",
  },
  cancelled: {
    wire: 5,
    ends: "stream",
    status: 499,
    retryable: false,
    says: "The visitor went away before the answer was complete.",
  },
  "body-mismatch": {
    wire: 6,
    ends: "stream",
    status: 502,
    retryable: false,
    says: "A body was longer or shorter than its Content-Length said.",
  },
  "head-too-large": {
    wire: 7,
    ends: "stream",
    status: 431,
    retryable: true,
    says: "The request's head is larger than 64 KiB or has more than 256 fields. Send smaller or fewer headers.",
  },
  overloaded: {
    wire: 8,
    ends: "stream",
    status: 503,
    retryable: true,
    says: "The tunnel holds as many requests as it can. Try again in a moment, or connect another agent.",
  },
  draining: {
    wire: 9,
    ends: "stream",
    status: 503,
    retryable: true,
    says: "The service's agent is shutting down and takes no new requests. Try again in a moment.",
  },
  "agent-lost": {
    wire: 10,
    ends: "stream",
    status: 502,
    retryable: false,
    says: "The connection to the service's agent broke while the request was under way; the origin may have received it.",
  },
  "agent-stalled": {
    wire: 11,
    ends: "session",
    status: 504,
    retryable: false,
    says: "The service's agent is connected but stopped responding. Restart it, or look at the network between it and the edge.",
  },
  "agent-offline": {
    wire: 12,
    ends: "request",
    status: 503,
    retryable: true,
    says: "No agent is connected for this service. Start one with `agent connect`.",
  },
  "origin-refused": {
    wire: 16,
    ends: "stream",
    status: 502,
    retryable: true,
    says: "The agent could not connect to the origin; the agent's log says why. Is the server running at the --port or --origin of `agent connect`?",
  },
  "origin-reset": {
    wire: 17,
    ends: "stream",
    status: 502,
    retryable: false,
    says: "The origin closed the connection before its answer was complete. The origin's own log may say why.",
  },
  "origin-timeout": {
    wire: 18,
    ends: "stream",
    status: 504,
    retryable: false,
    says: "The origin did not begin its answer in time. Raise --origin-timeout if it needs longer.",
  },
  "origin-invalid": {
    wire: 19,
    ends: "stream",
    status: 502,
    retryable: false,
    says: "The origin's answer is not valid HTTP, or its head is too large to pass on. Is an HTTP server at the --port or --origin of `agent connect`?",
  },
  "bad-request": {
    wire: 32,
    ends: "request",
    status: 400,
    retryable: false,
    says: "The request is not valid HTTP for a tunnel: its framing, method, target or headers are contradictory or illegal.",
  },
  unauthorized: {
    wire: 33,
    ends: "request",
    status: 401,
    retryable: false,
    says: "The token is missing, wrong, expired, or made for another service or role. Make one with `agent token`; visitors send it as `sluice-token`.",
  },
  "no-route": {
    wire: 34,
    ends: "request",
    status: 404,
    retryable: false,
    says: "No such route. Requests go to /send/<service>/<path>; service names are in lower case.",
  },
  "too-many-agents": {
    wire: 35,
    ends: "request",
    status: 429,
    retryable: false,
    says: "As many agents as one service may have are connected already. Stop one first.",
  },
  "upgrade-required": {
    wire: 36,
    ends: "request",
    status: 426,
    retryable: false,
    says: "This route is for agents: a WebSocket upgrade with the subprotocol sluice.v1. If you are an agent, update it.",
  },
  replaced: {
    wire: 40,
    ends: "session",
    status: 502,
    retryable: false,
    says: "A newer connection of the same agent took this one's place.",
  },
  "shutting-down": {
    wire: 41,
    ends: "session",
    status: 503,
    retryable: false,
    says: "The agent ended before it answered.",
  },
} as const satisfies Record<string, ErrorRule>;

/** The stable name of an error, as in the `sluice-error` header, logs and `PROTOCOL.md`. */
export type ErrorCode = keyof typeof errors;

const codes = new Map<number, ErrorCode>();
for (const [code, rule] of Object.entries(errors)) codes.set(rule.wire, code as ErrorCode);

/** The code of a wire number, or undefined when this version does not know it. */
export function errorCodeOf(wire: number): ErrorCode | undefined {
  return codes.get(wire);
}

/** Anything that ends a stream, a session or a request: a code of the table, and a note for the log. */
export class TunnelError extends Error {
  readonly code: ErrorCode;
  /** What exactly happened, for logs; never shown to visitors. */
  readonly note: string;

  constructor(code: ErrorCode, note = "") {
    super(note === "" ? `${code}: ${errors[code].says}` : `${code}: ${note}`);
    this.name = "TunnelError";
    this.code = code;
    this.note = note;
  }
}

/**
 * What a WebSocket's close code says of its session: the code that ended it, or undefined when the session can go on over
 * another socket. Whatever a peer makes up in our range ends it too.
 */
export function endOf(closeCode: number): ErrorCode | undefined {
  if (closeCode < 4000 || closeCode > 4999) return undefined;
  const said = errorCodeOf(closeCode - 4000);
  return said !== undefined && errors[said].ends === "session" ? said : "agent-lost";
}

/** RFC 6455 section 5.5: a control frame holds 125 bytes, two of them the code. */
const MAX_CLOSE_REASON_BYTES = 123;

/** The close frame that tells the peer of an error: `endOf` reads its code. What is not ASCII is replaced, so that characters are bytes. */
export function closeOf(code: ErrorCode, note: string): { code: number; reason: string } {
  const reason = note === "" ? code : `${code}: ${note}`.replaceAll(/[^\x20-\x7e]/g, "?");
  return { code: 4000 + errors[code].wire, reason: reason.slice(0, MAX_CLOSE_REASON_BYTES) };
}
