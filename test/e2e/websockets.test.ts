/** A visitor's WebSocket reaches the origin's, through both kinds of address, and nothing of it is changed on the way. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { closeOf, useSocketTunnel } from "../support/socket-tunnel.ts";
import { poll, within } from "../support/until.ts";

const MiB = 1024 * 1024;

const tunnel = useSocketTunnel();

describe("the handshake", () => {
  test("carries path, query, fields and subprotocol, and the origin's choice comes back", async () => {
    const visitor = await tunnel.open("/echo?a=b", ["other", "chat"]);
    expect(visitor.protocol).toBe("chat");
    const { url, headers } = tunnel.served.at(-1)?.request ?? { headers: {} };
    expect(url).toBe("/echo?a=b");
    expect(headers).toMatchObject({
      cookie: "a=b",
      "sec-websocket-protocol": "other,chat",
      "x-forwarded-prefix": `/send/${tunnel.service}`,
    });
    expect(headers["sec-websocket-extensions"]).toBeUndefined();
    // ws offers permessage-deflate, which would cost the object more than the tunnel itself does.
    expect(visitor.extensions).toBe("");
    visitor.close();
  });

  test("works by host name", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${tunnel.edge.port}/echo`, {
      headers: { host: `${tunnel.service}.localhost:${tunnel.edge.port}` },
    });
    await within(once(ws, "open"), "the visitor's socket");
    ws.send("by name");
    const [data] = (await within(once(ws, "message"), "the echo")) as [Buffer];
    expect(data.toString()).toBe("by name");
    ws.close();
  });

  test("that the origin refuses is refused with its status, fields and body", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${tunnel.edge.port}${tunnel.through("/refuse")}`);
    ws.on("error", () => {});
    const [, response] = (await within(once(ws, "unexpected-response"), "the refusal")) as [
      unknown,
      IncomingMessage,
    ];
    expect([response.statusCode, response.headers["x-why"]]).toEqual([403, "because"]);
    let body = "";
    for await (const chunk of response) body += String(chunk);
    expect(body).toBe("not you");
  });

  test("for another protocol than WebSocket is an ordinary request", async () => {
    const socket = connect(tunnel.edge.port, "127.0.0.1");
    socket.write(
      `GET /send/${tunnel.service}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
    );
    const [data] = (await within(once(socket, "data"), "the answer")) as [Buffer];
    expect(data.toString()).toMatch(/^HTTP\/1\.1 200 /);
    socket.destroy();
  });
});

describe("messages", () => {
  test("of any size cross both ways, text as text and bytes as bytes", async () => {
    const visitor = await tunnel.open("/echo");
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000, 8 * MiB]) {
      const bytes = randomBytes(size);
      visitor.send(bytes);
      const [data, binary] = (await within(once(visitor, "message"), `${size} bytes`)) as [
        Buffer,
        boolean,
      ];
      expect([binary, data.equals(bytes)]).toEqual([true, true]);
    }
    for (const text of ["", "a", "grüße 🚰", "x".repeat(200_000)]) {
      visitor.send(text);
      const [data, binary] = (await within(once(visitor, "message"), "text")) as [Buffer, boolean];
      expect([binary, data.toString()]).toEqual([false, text]);
    }
    visitor.close();
  });

  test("keep their order and their borders, many at once both ways", async () => {
    const { visitor, origin } = await tunnel.pair();
    const got: [string[], string[]] = [[], []];
    visitor.on("message", (data: Buffer) => got[0].push(data.toString()));
    origin.on("message", (data: Buffer) => got[1].push(data.toString()));
    const sent = Array.from({ length: 2000 }, (_, i) => `${i}`.repeat((i % 50) + 1));
    for (const text of sent) {
      visitor.send(text);
      origin.send(text);
    }
    await poll(() => got[0].length === 2000 && got[1].length === 2000, "all messages");
    expect(got).toEqual([sent, sent]);
    visitor.close();
  });

  test("that come in fragments arrive whole", async () => {
    const { visitor, origin } = await tunnel.pair();
    origin.send("a", { fin: false });
    origin.ping("between");
    origin.send("b", { fin: false });
    origin.send("c");
    const [data] = (await within(once(visitor, "message"), "the message")) as [Buffer];
    expect(data.toString()).toBe("abc");
    visitor.close();
  });

  test("the origin's pings are answered", async () => {
    const { visitor, origin } = await tunnel.pair();
    origin.ping("are you there");
    const [data] = (await within(once(origin, "pong"), "the pong")) as [Buffer];
    expect(data.toString()).toBe("are you there");
    visitor.close();
  });
});

describe("the end", () => {
  test.each([
    [1000, "done"],
    [1001, ""],
    [3000, "mine"],
    [4999, "grüße"],
  ])("that the visitor gives, %i %s, reaches the origin", async (code, reason) => {
    const { visitor, origin } = await tunnel.pair();
    visitor.close(code, reason);
    expect(await closeOf(origin)).toEqual([code, reason]);
  });

  test.each([0, 150])(
    "that the visitor gives reaches the origin after messages too, however long it was open, and though the upgrade took %i ms",
    async (ms) => {
      for (const openMs of [0, 150]) {
        const { visitor, origin } = await tunnel.pair(`/late/${ms}`);
        visitor.send("hello");
        const [hello] = (await within(once(origin, "message"), "the message")) as [Buffer];
        origin.send(hello);
        await within(once(visitor, "message"), "the answer");
        // From a tenth of a second on the edge looks after visitors that leave without a word.
        await new Promise((resolve) => setTimeout(resolve, openMs));
        visitor.close(4321, "enough");
        expect(await closeOf(origin)).toEqual([4321, "enough"]);
      }
    },
  );

  test.each([
    [1000, "done"],
    [1001, "away"],
    [1011, "broken"],
    [4000, "mine"],
  ])("that the origin gives, %i %s, reaches the visitor", async (code, reason) => {
    const { visitor, origin } = await tunnel.pair();
    origin.close(code, reason);
    expect(await closeOf(visitor)).toEqual([code, reason]);
  });

  test("without a code has none on the other side", async () => {
    const one = await tunnel.pair();
    one.visitor.close();
    expect((await closeOf(one.origin))[0]).toBe(1005);
    const other = await tunnel.pair();
    other.origin.close();
    expect((await closeOf(other.visitor))[0]).toBe(1005);
  });

  test("of a visitor that vanishes breaks the origin's connection, and frees the stream", async () => {
    const { visitor, origin } = await tunnel.pair();
    visitor.terminate();
    expect((await closeOf(origin))[0]).toBe(1006);
  });

  test("of an origin that vanishes is no clean end for the visitor", async () => {
    const { visitor, origin } = await tunnel.pair();
    origin.terminate();
    const [code] = await closeOf(visitor);
    expect([1006, 1014]).toContain(code);
  });

  test("of an origin that speaks no WebSocket is no clean end for the visitor", async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${tunnel.edge.port}${tunnel.through("/garbage")}`);
    ws.on("error", () => {});
    expect([1006, 1014]).toContain((await closeOf(ws))[0]);
  });

  test("leaves nothing behind", async () => {
    const token = await tunnel.edge.token({ service: tunnel.service });
    const streams = async (): Promise<number> => {
      const response = await fetch(`${tunnel.edge.url}/status/${tunnel.service}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const { agents } = (await response.json()) as { agents: { streams: number }[] };
      return agents.reduce((sum, each) => sum + each.streams, 0);
    };
    for (const { ws } of tunnel.served) ws.terminate();
    const until = performance.now() + 10_000;
    while ((await streams()) > 0 && performance.now() < until);
    expect(await streams()).toBe(0);
  });
});

test("hundreds of sockets live on one tunnel, beside --concurrency, and requests still pass", async () => {
  const visitors = await Promise.all(Array.from({ length: 300 }, () => tunnel.open("/echo")));
  await Promise.all(
    visitors.map(async (visitor, i) => {
      visitor.send(`${i}`);
      const [data] = (await within(once(visitor, "message"), `echo ${i}`)) as [Buffer];
      expect(data.toString()).toBe(`${i}`);
    }),
  );
  expect(await tunnel.plain()).toBe("plain");
  for (const visitor of visitors) visitor.terminate();
});
