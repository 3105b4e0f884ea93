/** Messages counted from bytes, beside what `ws` itself received. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { MessageCounter } from "../../bench/site/frames.ts";

interface Heard {
  messages: number;
  payloadBytes: number;
}

/** The bytes of one direction of a real connection, and what the library at its end made of them. */
interface Recorded {
  readonly bytes: Buffer;
  readonly heard: Heard;
}

/** Sizes at which a frame's length is written differently, and one that is read in many pieces. */
const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000];

/** Says every size whole, in fragments, and with control frames before, between and behind. */
function say(socket: WebSocket): void {
  for (const bytes of sizes) {
    socket.ping("are you there");
    socket.send(Buffer.alloc(bytes, 0x0d));
    socket.send("\r\n\r\n".repeat(3), { fin: false });
    socket.pong();
    socket.send("", { fin: false });
    socket.send("x".repeat(bytes), { fin: true });
  }
  socket.close(1000, "that was all");
}

function listen(socket: WebSocket): Heard {
  const heard = { messages: 0, payloadBytes: 0 };
  socket.on("message", (data: Buffer) => {
    heard.messages++;
    heard.payloadBytes += data.length;
  });
  return heard;
}

/** A conversation in both directions, with a tap on the wire. */
async function record(): Promise<{ toServer: Recorded; toClient: Recorded }> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const taps: { up: Buffer[]; down: Buffer[] } = { up: [], down: [] };
  const tap = createServer((near) => {
    const far = connect((server.address() as AddressInfo).port, "127.0.0.1");
    near.on("data", (chunk: Buffer) => taps.up.push(chunk)).pipe(far);
    far.on("data", (chunk: Buffer) => taps.down.push(chunk)).pipe(near);
  });
  tap.listen(0, "127.0.0.1");
  await once(tap, "listening");
  const accepted = once(server, "connection");
  const client = new WebSocket(`ws://127.0.0.1:${(tap.address() as AddressInfo).port}/`);
  const atClient = listen(client);
  const [socket] = (await accepted) as [WebSocket];
  const atServer = listen(socket);
  await once(client, "open");
  const closed = Promise.all([once(client, "close"), once(socket, "close")]);
  say(client);
  say(socket);
  await closed;
  tap.close();
  server.close();
  return {
    toServer: { bytes: Buffer.concat(taps.up), heard: atServer },
    toClient: { bytes: Buffer.concat(taps.down), heard: atClient },
  };
}

let recorded: Awaited<ReturnType<typeof record>>;

beforeAll(async () => {
  recorded = await record();
});

describe.each(["toServer", "toClient"] as const)("the counter agrees with ws (%s)", (direction) => {
  test("the recording holds what was said", () => {
    expect(recorded[direction].heard.messages).toBe(2 * sizes.length);
  });

  test("when everything comes at once", () => {
    const { bytes, heard } = recorded[direction];
    const counter = new MessageCounter();
    counter.push(bytes);
    expect(counterOf(counter)).toEqual(heard);
  });

  test("when every byte comes alone", () => {
    const { bytes, heard } = recorded[direction];
    const counter = new MessageCounter();
    for (let at = 0; at < bytes.length; at++) counter.push(bytes.subarray(at, at + 1));
    expect(counterOf(counter)).toEqual(heard);
  });

  test("however the bytes are cut", () => {
    const { bytes, heard } = recorded[direction];
    const cuts = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 80_000 })),
      {
        minLength: 1,
      },
    );
    fc.assert(
      fc.property(cuts, (lengths) => {
        const counter = new MessageCounter();
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const length = lengths[turn % lengths.length] ?? 1;
          counter.push(bytes.subarray(at, at + length));
          at += length;
        }
        expect(counterOf(counter)).toEqual(heard);
      }),
      { numRuns: 50 },
    );
  });
});

function counterOf({ messages, payloadBytes }: MessageCounter): Heard {
  return { messages, payloadBytes };
}
