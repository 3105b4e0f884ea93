/**
 * The protocol's test vectors: every one is what the code does, and what other msgpack readers see.
 *
 * A vector that fails after a change of the code means that other implementations of this protocol version fail too.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { decodeMulti, encode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import { Budget } from "../../codec/budget.ts";
import { ReceiveCredit, SendCredit } from "../../codec/credit.ts";
import { errors, TunnelError } from "../../codec/errors.ts";
import { isHello } from "../../codec/greeting.ts";
import { MAX_CREDIT_BYTES, PROTOCOL } from "../../codec/limits.ts";
import { Messenger, readFrames } from "../../codec/messenger.ts";
import { FIRST_EXTENSION_KIND, frameKinds } from "../../codec/wire.ts";
import { MemoryPlatform, messageOf } from "../support/pair.ts";
import { VectorEnd } from "../support/vector-end.ts";
import {
  bytesOf,
  type ConversationVector,
  type End,
  fieldsOf,
  frameOf,
  type FrameVector,
  readVectors,
  textOf,
  vectorsPath,
} from "../support/vectors.ts";

const vectors = readVectors();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The elements of a frame's array, as PROTOCOL.md's table lists them. */
function elementsOf(vector: FrameVector): unknown[] {
  const kind = frameKinds[vector.frame];
  switch (vector.frame) {
    case "hello": {
      const { received, maxStreams, credit, grace } = vector;
      const [session, software] = [textOf(vector.session), textOf(vector.software)];
      return [kind, session, received, maxStreams, credit, grace, software];
    }
    case "request": {
      const { stream, credit, length } = vector;
      const [method, path] = [textOf(vector.method), textOf(vector.path)];
      return [kind, stream, credit, method, path, length, fieldsOf(vector.headers)];
    }
    case "response": {
      const { stream, status, reason, length, headers } = vector;
      return [kind, stream, status, textOf(reason), length, fieldsOf(headers)];
    }
    case "data":
      return [kind, vector.stream, bytesOf(vector.bytes)];
    case "end":
      return [kind, vector.stream, fieldsOf(vector.trailers)];
    case "cancel":
      return [kind, vector.stream, errors[vector.code].wire, textOf(vector.note)];
    case "credit":
      return [kind, vector.stream, vector.bytes];
    case "ping":
    case "pong":
      return [kind, vector.token];
    case "goaway":
      return [kind, vector.last, errors[vector.code].wire, textOf(vector.note)];
    case "ack":
      return [kind, vector.received];
    default:
      throw new Error(`no frame: ${JSON.stringify(vector)}`);
  }
}

function refusal(message: Uint8Array): string | undefined {
  try {
    readFrames(message);
    return undefined;
  } catch (error) {
    if (error instanceof TunnelError) return error.code;
    throw error;
  }
}

test("are of this protocol's version, and each has a name of its own", () => {
  expect(vectors.protocol).toBe(PROTOCOL);
  const { accepted, refused, conversations, credit } = vectors;
  for (const list of [accepted, refused, conversations, credit.senders, credit.receivers]) {
    const names = list.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  }
});

test("have every kind of frame, and every error code", () => {
  const frames = vectors.accepted.flatMap((vector) => vector.frames);
  expect(new Set(frames.map(({ frame }) => frame))).toEqual(new Set(Object.keys(frameKinds)));
  const codes = frames.flatMap((vector) => (vector.frame === "cancel" ? [vector.code] : []));
  expect(new Set(codes)).toEqual(new Set(Object.keys(errors)));
});

describe("a message that has to be accepted", () => {
  test.each(vectors.accepted)("$name: is read as its frames", ({ message, frames }) => {
    expect(readFrames(bytesOf(message))).toEqual(frames.map(frameOf));
  });

  test.each(vectors.accepted.filter(({ shortest }) => shortest))(
    "$name: is written as these bytes",
    ({ message, frames }) => {
      expect(hex(messageOf(...frames.map(frameOf)))).toBe(hex(bytesOf(message)));
    },
  );

  test.each(vectors.accepted.filter(({ shortest }) => !shortest))(
    "$name: is not how it would be written",
    ({ message, frames }) => {
      expect(hex(messageOf(...frames.map(frameOf)))).not.toBe(hex(bytesOf(message)));
    },
  );

  test.each(vectors.accepted)(
    "$name: @msgpack/msgpack sees the same in it",
    ({ message, frames, shortest }) => {
      const arrays = [...decodeMulti(bytesOf(message))] as unknown[][];
      const known = arrays.filter(([kind]) => (kind as number) < FIRST_EXTENSION_KIND);
      const elements = frames.map(elementsOf);
      // A code that nobody knows is on the wire what it is.
      if (known[0]?.[0] === frameKinds.cancel && known[0][2] === 999) known[0][2] = 2;
      expect(known).toEqual(elements);
      if (!shortest) return;
      expect(hex(Buffer.concat(elements.map((each) => encode(each))))).toBe(hex(bytesOf(message)));
    },
  );

  test.each(vectors.accepted)("$name: has a number or has none", ({ message, frames, counts }) => {
    const bytes = bytesOf(message);
    const platform = new MemoryPlatform({ now: 0 });
    const messenger = new Messenger({ platform, budget: new Budget(), retainBytes: 1 });
    if (!isHello(bytes)) messenger.worked(frames.map(frameOf), bytes.length);
    expect(messenger.received).toBe(counts ? 1 : 0);
  });
});

test.each(vectors.refused)("a message that has to be refused: $name", ({ message, error }) => {
  expect(refusal(bytesOf(message))).toBe(error);
});

/** Plays a conversation with the code as `end`, and the vector as the other. */
function play({ steps }: ConversationVector, end: End): void {
  const under = new VectorEnd(end);
  let unsent: Uint8Array[] = [];
  for (const [at, step] of steps.entries()) {
    const where = `step ${at}: ${JSON.stringify(step).slice(0, 200)}`;
    if ("socket" in step) {
      expect(unsent, where).toEqual([]);
      under.connect(step.socket);
    } else if ("close" in step) {
      if (step.from === end) expect(under.closed, where).toBe(step.close);
      else under.lose(step.close);
    } else if ("from" in step) {
      const bytes = bytesOf(step.message);
      if (step.frames !== null) expect(readFrames(bytes)).toEqual(step.frames.map(frameOf));
      if (step.from !== end) {
        if (step.lost !== true) under.receive(bytes);
        continue;
      }
      if (unsent.length === 0) unsent = under.sent();
      expect(hex(unsent.shift() ?? new Uint8Array()), where).toBe(hex(bytes));
    } else if ("cut" in step) {
      if (step.cut.includes(end)) under.lose();
    } else if ("waitMs" in step) {
      under.wait(step.waitMs);
    } else if (step.at !== end) {
      continue;
    } else if ("does" in step) {
      under.act(step);
    } else {
      const { at: _at, outcomeOf, ...outcome } = step;
      expect(under.outcome(outcomeOf), where).toEqual(outcome);
    }
  }
  expect([...unsent, ...under.sent()].map(hex), "sent besides").toEqual([]);
}

describe("a conversation", () => {
  const cases = vectors.conversations.flatMap((each) =>
    each.tests.map((end) => ({ name: each.name, end, conversation: each })),
  );
  test.each(cases)("$name, with the $end in its place", ({ conversation, end }) => {
    play(conversation, end);
  });

  test("is said to the end by both, when both are good", () => {
    const both = vectors.conversations.filter(({ tests }) => tests.length === 2);
    expect(both.length).toBeGreaterThan(10);
    for (const { steps } of vectors.conversations) expect(steps[0]).toEqual({ socket: 1 });
  });
});

describe("credit", () => {
  test.each(vectors.credit.senders)("a sender $name", ({ start, steps }) => {
    const credit = new SendCredit(start);
    for (const step of steps) {
      if ("sends" in step) credit.spend(step.sends);
      else expect(credit.add(step.given), JSON.stringify(step)).toBe(!("error" in step));
      if ("left" in step) expect(credit.bytes).toBe(step.left);
    }
    expect(credit.bytes).toBeLessThanOrEqual(MAX_CREDIT_BYTES);
  });

  test.each(vectors.credit.receivers)("a receiver $name", ({ window, steps }) => {
    const budget = new Budget();
    budget.reserve(window);
    const credit = new ReceiveCredit(budget, window, 0);
    for (const step of steps) {
      if ("consumed" in step) {
        expect(credit.consume(step.consumed, 0, 0), JSON.stringify(step)).toBe(step.give);
        continue;
      }
      expect(credit.receive(step.arrive), JSON.stringify(step)).toBe(!("error" in step));
      if ("buffered" in step) expect(credit.bufferedBytes).toBe(step.buffered);
    }
  });
});

const python = spawnSync("python3", ["--version"]).status === 0;

test.skipIf(!python)("all are understood by a decoder in another language", () => {
  const script = fileURLToPath(new URL("vectors.py", import.meta.url));
  const { status, stdout, stderr } = spawnSync("python3", [script, fileURLToPath(vectorsPath)], {
    encoding: "utf8",
  });
  expect([stderr, status]).toEqual(["", 0]);
  const { accepted, refused, conversations, credit } = vectors;
  expect(stdout).toBe(
    `${accepted.length} accepted, ${refused.length} refused, ${conversations.length} conversations, ` +
      `${credit.senders.length + credit.receivers.length} of credit: all as they should be\n`,
  );
});
