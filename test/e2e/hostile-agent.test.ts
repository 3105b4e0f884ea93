/**
 * A holder of a valid token may send what it likes: it ends its own session, and nobody else's.
 *
 * Beside all of these an honest service works on the same edge; it is asked after each attack.
 */
import { randomBytes } from "node:crypto";
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ErrorCode } from "../../codec/errors.ts";
import type { Frame, ResponseHead } from "../../codec/frame.ts";
import { MAX_CREDIT_BYTES, MAX_MESSAGE_BYTES, PROTOCOL } from "../../codec/limits.ts";
import { HostileAgent, hello, messageOf } from "../support/hostile-agent.ts";
import { PeakMemory, procfs, residentMiB } from "../support/memory.ts";
import { values, Visitor } from "../support/raw-http.ts";
import { expectUnfinished } from "../support/unfinished.ts";
import { poll } from "../support/until.ts";
import { useTunnel } from "../support/use-tunnel.ts";
import { WebSocketFlood } from "../support/websocket-flood.ts";

const tunnel = useTunnel();

const SERVICE = "hostile";
const MiB = 1024 * 1024;
let token: string;
/** A visitor of the honest service whose answer goes on through all attacks. */
let witness: Visitor;

beforeAll(async () => {
  token = await tunnel.edge.token({ service: SERVICE });
  tunnel.origin.on("/witness", ({ response }) => response.writeHead(200).write("."));
  witness = await Visitor.connect(tunnel.through);
  witness.request({ target: "/witness" });
  await witness.received(1);
  return () => witness.leave();
});

afterEach(async () => {
  expect((await Visitor.ask(tunnel.through)).status).toBe(200);
});

async function attack(): Promise<HostileAgent> {
  return HostileAgent.connectWith(tunnel.edge, SERVICE, token);
}

function head(fields: Partial<ResponseHead> = {}): ResponseHead {
  return { status: 200, reason: "OK", headers: [], length: "unknown", ...fields };
}

/** msgpack by hand, for what the codec rightly refuses to write. */
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const str = (text: string): Uint8Array => {
  const utf8 = Buffer.from(text);
  return join(bytes(0xda, utf8.length >> 8, utf8.length & 0xff), utf8);
};

/** A repeatable stream of nonsense. */
function nonsense(seed: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let state = seed * 2_654_435_761 + 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = state & 0xff;
  }
  return out;
}

describe("a message that is none ends the session", () => {
  const greeting = messageOf(hello);
  const cases: readonly (readonly [what: string, code: string, message: Uint8Array | string])[] = [
    ["text", "protocol-error", "hello"],
    ["a truncated HELLO", "protocol-error", greeting.subarray(0, greeting.length - 3)],
    ["a HELLO with a tail", "protocol-error", join(greeting, bytes(0xc1))],
    ["a frame that is a number", "protocol-error", bytes(0x05)],
    ["a frame that is an empty array", "protocol-error", bytes(0x90)],
    ["a frame that is a map", "protocol-error", join(bytes(0x81), str("__proto__"), bytes(0x01))],
    ["a frame that is an extension", "protocol-error", bytes(0xd4, 0x01, 0x02)],
    ["a frame with a map inside", "protocol-error", bytes(0x92, 0x07, 0x80)],
    [
      "an array that claims 16 million elements",
      "protocol-error",
      bytes(0xdd, 0x01, 0xff, 0xff, 0xff),
    ],
    [
      "such arrays inside one another",
      "protocol-error",
      join(...Array.from({ length: 10 }, () => bytes(0xdd, 0x01, 0xff, 0xff, 0xff))),
    ],
    [
      "a string that claims 4 GiB",
      "protocol-error",
      bytes(0x92, 0x00, 0xdb, 0xff, 0xff, 0xff, 0xff),
    ],
    [
      "bytes that claim 4 GiB",
      "frame-too-large",
      bytes(0x93, 0x03, 0x01, 0xc6, 0xff, 0xff, 0xff, 0xff),
    ],
    ["a million arrays inside one another", "protocol-error", new Uint8Array(1_000_000).fill(0x91)],
    ["a kind nobody knows", "protocol-error", bytes(0x91, 0x28)],
    ["a PING before HELLO", "protocol-error", messageOf({ kind: "ping", token: 1 })],
    ["more than the limit", "frame-too-large", new Uint8Array(MAX_MESSAGE_BYTES + 1)],
    ["far more than the limit", "frame-too-large", new Uint8Array(16 * MAX_MESSAGE_BYTES)],
  ];
  test.for(cases)("%s", async ([, code, message]) => {
    const agent = await attack();
    agent.send(message);

    expect(await agent.refused()).toBe(code);
  });

  test("nonsense, a hundred times", async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const agent = await attack();
      agent.send(nonsense(seed, ((seed * 97) % 5000) + 1));
      expect(await agent.refused()).toMatch(/^(protocol-error|frame-too-large)$/);
    }
  }, 30_000);
});

describe("a frame out of place ends the session", () => {
  const request: Frame = {
    kind: "request",
    stream: 1,
    credit: 1,
    head: { method: "GET", path: "/", headers: [], length: "none" },
  };
  const cases: readonly (readonly [what: string, code: string, message: Uint8Array])[] = [
    ["a second HELLO", "protocol-error", messageOf(hello)],
    ["a REQUEST from the agent", "protocol-error", messageOf(request)],
    [
      "a RESPONSE to what was never asked",
      "protocol-error",
      messageOf({ kind: "response", stream: 77, head: head() }),
    ],
    [
      "DATA of a stream that never was",
      "protocol-error",
      messageOf({ kind: "data", stream: 77, bytes: bytes(1) }),
    ],
    [
      "END of a stream that never was",
      "protocol-error",
      messageOf({ kind: "end", stream: 77, trailers: [] }),
    ],
    [
      "CREDIT for a stream that never was",
      "protocol-error",
      messageOf({ kind: "credit", stream: 77, bytes: 1 }),
    ],
    ["a negative CREDIT", "protocol-error", bytes(0x93, 0x06, 0x01, 0xff)],
    [
      "a CREDIT that is no whole number",
      "protocol-error",
      bytes(0x93, 0x06, 0x01, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0),
    ],
    [
      "a CREDIT that is not a number",
      "protocol-error",
      bytes(0x93, 0x06, 0x01, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0),
    ],
    [
      "one DATA frame above its limit",
      "frame-too-large",
      messageOf({ kind: "data", stream: 1, bytes: new Uint8Array(300 * 1024) }),
    ],
    [
      "one head above its limit",
      "frame-too-large",
      messageOf({ kind: "end", stream: 1, trailers: ["x", "y".repeat(70_000)] }),
    ],
  ];
  test.for(cases)("%s", async ([, code, message]) => {
    const agent = await attack();
    await agent.greet();
    agent.send(message);

    expect(await agent.refused()).toBe(code);
  });
});

describe("a broken answer fails the visitor's request too, never well", () => {
  /** A hostile agent that has just been asked by `visitor`. */
  async function asked(): Promise<{
    agent: HostileAgent;
    visitor: Visitor;
    stream: number;
    credit: number;
  }> {
    const agent = await attack();
    await agent.greet();
    const visitor = await Visitor.connect(tunnel.edge.place(SERVICE));
    visitor.request({ target: "/attacked" });
    const { stream, credit } = await agent.frame("request");
    return { agent, visitor, stream, credit };
  }

  const raw = (stream: number, name: string, value: string): Uint8Array =>
    join(bytes(0x96, 0x02, stream, 0xcc, 200), str("OK"), bytes(0xff, 0x92), str(name), str(value));
  const cases: readonly (readonly [
    what: string,
    code: ErrorCode,
    messages: (stream: number, credit: number) => Uint8Array[],
  ])[] = [
    [
      "DATA before its head",
      "protocol-error",
      (stream) => [messageOf({ kind: "data", stream, bytes: bytes(1) })],
    ],
    [
      "an END before its head",
      "protocol-error",
      (stream) => [messageOf({ kind: "end", stream, trailers: [] })],
    ],
    [
      "a line break in a value",
      "protocol-error",
      (stream) => [raw(stream, "x-a", "b\r\nx-injected: c")],
    ],
    ["a name that is none", "protocol-error", (stream) => [raw(stream, "x a", "b")]],
    ["a NUL in a value", "protocol-error", (stream) => [raw(stream, "x-a", "b\0")]],
    [
      "an overlong line break",
      "protocol-error",
      (stream) => [
        join(
          bytes(0x96, 0x02, stream, 0xcc, 200),
          str("OK"),
          bytes(0xff, 0x92),
          str("x-a"),
          bytes(0xa6, 0x62, 0xc0, 0x8d, 0xc0, 0x8a, 0x63),
        ),
      ],
    ],
    [
      "a name without a value",
      "protocol-error",
      (stream) => [
        join(bytes(0x96, 0x02, stream, 0xcc, 200), str("OK"), bytes(0xff, 0x91), str("x-a")),
      ],
    ],
    [
      "a status of 99",
      "protocol-error",
      (stream) => [join(bytes(0x96, 0x02, stream, 99), str("OK"), bytes(0xff, 0x90))],
    ],
    [
      "a status of 700",
      "protocol-error",
      (stream) => [join(bytes(0x96, 0x02, stream, 0xcd, 0x02, 0xbc), str("OK"), bytes(0xff, 0x90))],
    ],
    [
      "a line break in the reason",
      "protocol-error",
      (stream) => [join(bytes(0x96, 0x02, stream, 0xcc, 200), str("O\r\nK"), bytes(0xff, 0x90))],
    ],
    [
      "two heads",
      "protocol-error",
      (stream) => [
        messageOf(
          { kind: "response", stream, head: head() },
          { kind: "response", stream, head: head() },
        ),
      ],
    ],
    [
      "DATA without credit",
      "flow-control-error",
      (stream, credit) => [
        messageOf({ kind: "response", stream, head: head() }),
        ...Array.from({ length: Math.ceil((credit + 4 * 1024 * 1024) / 65_536) }, () =>
          messageOf({ kind: "data", stream, bytes: new Uint8Array(65_536) }),
        ),
      ],
    ],
    [
      "credit beyond all bounds",
      "flow-control-error",
      (stream) => [
        messageOf(
          { kind: "credit", stream, bytes: MAX_CREDIT_BYTES },
          { kind: "credit", stream, bytes: MAX_CREDIT_BYTES },
        ),
      ],
    ],
  ];
  test.for(cases)("%s", async ([, code, messages]) => {
    const { agent, visitor, stream, credit } = await asked();
    // A visitor who does not read gives no credit back, so that what was given is all there is.
    visitor.socket.pause();
    for (const message of messages(stream, credit)) agent.send(message);

    expect(await agent.refused()).toBe(code);
    visitor.socket.resume();
    const answer = await visitor.fate();
    visitor.leave();
    expectUnfinished(answer, code);
    expect(values(answer?.fields ?? [], "x-injected")).toEqual([]);
  });

  test.for([
    ["shorter than its length", 5],
    ["longer than its length", 50],
  ] as const)("a body %s costs only its own stream", async ([, size]) => {
    const { agent, visitor, stream } = await asked();
    agent.send(
      messageOf(
        { kind: "response", stream, head: head({ length: 10 }) },
        { kind: "data", stream, bytes: new Uint8Array(size) },
        { kind: "end", stream, trailers: [] },
      ),
    );
    const answer = await visitor.fate();
    visitor.leave();

    expectUnfinished(answer, "body-mismatch");
    expect((await agent.frame("cancel")).code).toBe("body-mismatch");
    await agent.read();
    expect(agent.closed).toBe(false);
    agent.leave();
  });
});

describe("what an honest agent of another version may send is no attack", () => {
  test("frames of kinds to come are ignored", async () => {
    const agent = await attack();
    await agent.greet();
    agent.send(join(bytes(0x92, 0x40, 0x01), messageOf({ kind: "ping", token: 7 })));

    expect((await agent.frame("pong")).token).toBe(7);
    agent.leave();
  });

  test("what arrives for a stream that is over is dropped", async () => {
    const agent = await attack();
    await agent.greet();
    const visitor = await Visitor.connect(tunnel.edge.place(SERVICE));
    visitor.request({});
    const { stream } = await agent.frame("request");
    agent.send(
      messageOf(
        { kind: "response", stream, head: head({ length: 2 }) },
        { kind: "data", stream, bytes: bytes(111, 107) },
        { kind: "end", stream, trailers: [] },
      ),
    );
    expect((await visitor.answer()).body.toString()).toBe("ok");
    visitor.leave();
    agent.send(
      messageOf(
        { kind: "credit", stream, bytes: 1 },
        { kind: "cancel", stream, code: "not-needed", note: "" },
        { kind: "ping", token: 8 },
      ),
    );

    expect((await agent.frame("pong", ({ token: mine }) => mine === 8)).token).toBe(8);
    agent.leave();
  });
});

test.runIf(procfs)(
  "attacks by the thousand leave the edge's memory as it was",
  async () => {
    const bomb = join(...Array.from({ length: 10 }, () => bytes(0xdd, 0x01, 0xff, 0xff, 0xff)));
    const deep = new Uint8Array(MAX_MESSAGE_BYTES).fill(0x91);
    const once = async (seed: number): Promise<void> => {
      const agent = await attack();
      if (seed % 2 === 0) await agent.greet();
      agent.send([bomb, deep, nonsense(seed, 10_000), randomBytes(100)][seed % 4] ?? bomb);
      // All that follows the fault is sent to nobody.
      for (let i = 0; i < 4; i++) agent.send(deep);
      await agent.refused();
    };
    // What the runtime keeps for good it has after the first ones.
    for (let seed = 0; seed < 40; seed++) await once(seed);
    const before = residentMiB(tunnel.edge.workerdPid);
    for (let seed = 0; seed < 200; seed++) await once(seed);

    expect(residentMiB(tunnel.edge.workerdPid) - before).toBeLessThan(64);
  },
  60_000,
);

test.runIf(procfs)(
  "an agent that gives credit for an upload and reads nothing does not fill the edge's memory",
  async () => {
    const agent = await attack();
    await agent.greet();
    const visitor = await Visitor.connect({ ...tunnel.through, prefix: `/send/${SERVICE}` });
    visitor.begin("POST", "/", [["Content-Length", String(300 * 1024 * 1024)]]);
    const { stream } = await agent.frame("request");
    const before = residentMiB(tunnel.edge.workerdPid);
    agent.stopReading();
    agent.send(messageOf({ kind: "credit", stream, bytes: 2 ** 30 }));
    const block = Buffer.alloc(1024 * 1024);
    for (let i = 0; i < 300; i++) visitor.socket.write(block);
    let taken = -1;
    await poll(
      () => {
        const was = taken;
        taken = visitor.socket.bytesWritten - visitor.socket.writableLength;
        return taken === was;
      },
      "the upload being held back",
      60_000,
      1000,
    );
    const grown = residentMiB(tunnel.edge.workerdPid) - before;
    visitor.reset();
    agent.leave();

    expect(grown).toBeLessThan(96);
  },
  90_000,
);

test.runIf(procfs)(
  "what is sent on over a connection that was closed is not kept",
  async () => {
    const agent = new WebSocketFlood(tunnel.edge.port, `/websocket/${SERVICE}`, [
      `authorization: Bearer ${token}`,
      `sec-websocket-protocol: ${PROTOCOL}`,
      `sluice-agent: ${randomBytes(16).toString("hex")}`,
    ]);
    const memory = new PeakMemory(tunnel.edge.workerdPid);
    onTestFinished(() => void memory.stop());
    const sent = await agent.send("bytes", 512 * MiB);
    const grown = memory.stop();
    agent.leave();

    expect(sent).toBeGreaterThanOrEqual(512);
    expect(grown).toBeLessThan(24);
  },
  60_000,
);

test("the honest service's answer went on all the time", async () => {
  const received = tunnel.origin.log.find(({ target }) => target === "/witness");
  received?.response.end("unharmed");
  const answer = await witness.answer();

  expect([answer.body.toString(), answer.ended]).toEqual([".unharmed", "complete"]);
});
