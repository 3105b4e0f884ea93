/** What becomes of an origin's answer: passed on as it is, or an error that says what was wrong. */
import type { Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Answer } from "../../agent/origin/answer.ts";
import type { OriginOptions } from "../../agent/origin/origin.ts";
import { TunnelError } from "../../codec/errors.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { RawOrigin } from "../support/origin.ts";
import { poll, Watch } from "../support/until.ts";
import { Pair, readAll } from "./pair.ts";
import { TunnelEnd } from "./tunnel-end.ts";

let origin: RawOrigin | undefined;
let end: TunnelEnd | undefined;

afterEach(async () => {
  await end?.stop();
  await origin?.stop();
});

/** An origin that says `answer` to the first bytes of each connection; what it then does is up to `then`. */
async function answering(
  answer: string,
  options: Partial<OriginOptions> = {},
  then: (socket: Socket) => void = () => {},
): Promise<TunnelEnd> {
  origin = await RawOrigin.start((socket) => {
    socket.once("data", () => {
      if (answer !== "") socket.write(Buffer.from(answer, "latin1"));
      then(socket);
    });
  });
  end = await TunnelEnd.to(origin.port, options);
  return end;
}

/** Both clients must behave alike: a request without a body goes by undici, one whose body is on its way by node:http. */
const clients = [
  ["whole", (tunnel: Asker): Exchange => tunnel.ask()],
  ["streaming", (tunnel: Asker): Exchange => streaming(tunnel)],
] as const;

type Asker = Pick<Pair, "ask">;

function streaming(tunnel: Asker): Exchange {
  const exchange = tunnel.ask({ method: "POST", length: "unknown" });
  exchange.outgoing.write(Buffer.from("x"));
  return exchange;
}

describe.each(clients)("by the %s client", (_name, ask) => {
  test("head and body cross with order, case, repetition, reason and bytes beyond ASCII", async () => {
    const tunnel = await answering(
      "HTTP/1.1 203 Quite So\r\nX-B: 1\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nx-u: gr\u00c3\u00bcn\r\nx-l: gr\u00fcn\r\n__proto__: x\r\nContent-Length: 2\r\n\r\nok",
    );
    const exchange = ask(tunnel);
    expect(await exchange.answer()).toEqual({
      status: 203,
      reason: "Quite So",
      headers: [
        ["X-B", "1"],
        ["Set-Cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["x-u", "grün"],
        ["x-l", "grün"],
        ["__proto__", "x"],
      ].flat(),
      length: 2,
    });
    expect(await readAll(exchange)).toBe("ok");
    expect(await tunnel.report()).toMatchObject({ status: 203, bytesOut: 2, outcome: "ok" });
  });

  test("a chunked answer has no known length, and its trailers cross", async () => {
    const tunnel = await answering(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    const exchange = ask(tunnel);
    expect(await exchange.answer()).toMatchObject({ headers: [], length: "unknown" });
    expect(await readAll(exchange)).toBe("ok");
    expect(exchange.incoming.trailers).toEqual(["X-Sum", "42"]);
  });

  test("an answer that ends with its connection has no known length and ends well", async () => {
    const tunnel = await answering("HTTP/1.0 200 OK\r\n\r\nto the end", {}, (socket) =>
      socket.end(),
    );
    const exchange = ask(tunnel);
    expect(await exchange.answer()).toMatchObject({ length: "unknown" });
    expect(await readAll(exchange)).toBe("to the end");
  });

  test.each([
    ["204 No Content", "", []],
    ["205 Reset Content", "Content-Length: 0\r\n", []],
    ["304 Not Modified", "Content-Length: 9\r\n", ["Content-Length", "9"]],
  ])("%s has no body", async (status, fields, headers) => {
    const tunnel = await answering(`HTTP/1.1 ${status}\r\n${fields}\r\n`);
    const exchange = ask(tunnel);
    expect(await exchange.answer()).toMatchObject({ headers, length: "none" });
    expect(await tunnel.report()).toMatchObject({ outcome: "ok" });
  });

  test("what belongs to the origin's connection, and sluice-* fields, do not cross", async () => {
    const tunnel = await answering(
      "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nSluice-Error: forged\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
    );
    expect(await ask(tunnel).answer()).toMatchObject({ headers: ["X-Kept", "1"], length: 0 });
  });

  test("interim answers are left out", async () => {
    const tunnel = await answering(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    const exchange = ask(tunnel);
    expect(await exchange.answer()).toMatchObject({ status: 200, headers: [] });
    expect(await readAll(exchange)).toBe("ok");
  });

  test("nobody there is origin-refused", async () => {
    const free = await RawOrigin.start(() => {});
    await free.stop();
    end = await TunnelEnd.to(free.port);
    await expect(ask(end).answer()).rejects.toMatchObject({ code: "origin-refused" });
    expect(await end.report()).toMatchObject({
      status: 502,
      outcome: "origin-refused",
      reason: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("a connection that ends without an answer is origin-reset", async () => {
    const tunnel = await answering("", {}, (socket) => socket.destroy());
    await expect(ask(tunnel).answer()).rejects.toMatchObject({ code: "origin-reset" });
  });

  test("an answer that ends before its length is cut with origin-reset", async () => {
    const tunnel = await answering(
      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
      {},
      (socket) => socket.end(),
    );
    const exchange = ask(tunnel);
    await exchange.answer();
    await expect(readAll(exchange)).rejects.toMatchObject({ code: "origin-reset" });
    expect(await tunnel.report()).toMatchObject({ status: 200, outcome: "origin-reset" });
  });

  test("a chunked answer without its last chunk is cut with origin-reset", async () => {
    const tunnel = await answering(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
      {},
      (socket) => socket.end(),
    );
    const exchange = ask(tunnel);
    await exchange.answer();
    await expect(readAll(exchange)).rejects.toMatchObject({ code: "origin-reset" });
  });

  test("an origin that stays silent is origin-timeout, and its connection is closed", async () => {
    const watch = new Watch();
    let closed = false;
    const tunnel = await answering("", { timeoutMs: 50 }, (socket) => {
      socket.on("close", () => {
        closed = true;
        watch.changed();
      });
    });
    const exchange = ask(tunnel);
    // The clock does not run while the origin waits for the visitor.
    if (exchange.request.length !== "none") exchange.outgoing.end();
    await expect(exchange.answer()).rejects.toMatchObject({ code: "origin-timeout" });
    expect(await tunnel.report()).toMatchObject({ status: 504, outcome: "origin-timeout" });
    await watch.until(() => closed, "the connection's end");
  });

  test.each([
    ["no HTTP at all", "220 smtp.example ESMTP\r\n"],
    ["a chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
    ["a head above 64 KiB", `HTTP/1.1 200 OK\r\nX-Big: ${"x".repeat(70_000)}\r\n\r\n`],
    [
      "more than 256 fields",
      `HTTP/1.1 200 OK\r\n${"X: 1\r\n".repeat(300)}Content-Length: 0\r\n\r\n`,
    ],
    ["a status beyond 599", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"],
  ])("%s is origin-invalid", async (_what, answer) => {
    const tunnel = await answering(answer);
    const exchange = ask(tunnel);
    const whole = exchange.answer().then(() => readAll(exchange));
    await expect(whole).rejects.toMatchObject({ code: "origin-invalid" });
    expect(await tunnel.report()).toMatchObject({ outcome: "origin-invalid" });
  });

  test("a visitor that leaves before the answer ends the origin's connection at once", async () => {
    const watch = new Watch();
    let [asked, closed] = [false, false];
    const tunnel = await answering("", {}, (socket) => {
      asked = true;
      socket.on("close", () => {
        closed = true;
        watch.changed();
      });
      watch.changed();
    });
    const exchange = ask(tunnel);
    await watch.until(() => asked, "the request at the origin");
    exchange.cancel("cancelled");
    await watch.until(() => closed, "the connection's end");
    expect(await tunnel.report()).toMatchObject({ status: 499, outcome: "cancelled" });
    await poll(() => tunnel.streams === 0, "no stream is left");
  });

  test("a visitor that leaves in the middle of the answer ends the origin's connection", async () => {
    const watch = new Watch();
    let closed = false;
    const tunnel = await answering(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
      {},
      (socket) => {
        socket.on("close", () => {
          closed = true;
          watch.changed();
        });
      },
    );
    const exchange = ask(tunnel);
    await exchange.answer();
    exchange.cancel("cancelled");
    await watch.until(() => closed, "the connection's end");
    expect(await tunnel.report()).toMatchObject({ status: 200, outcome: "cancelled" });
  });

  test("a visitor that does not read makes the origin stop writing, and reads all of it later", async () => {
    const size = 16 * 1024 * 1024;
    let written = 0;
    const tunnel = await answering("", {}, (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      const piece = Buffer.alloc(64 * 1024, "y");
      const pump = (): void => {
        while (written < size) {
          written += piece.length;
          if (!socket.write(piece)) return;
        }
      };
      socket.on("drain", pump);
      pump();
    });
    const exchange = ask(tunnel);
    await exchange.answer();
    let before = -1;
    // Still when two looks, some turns apart, see the same.
    await poll(
      () => {
        const still = written === before;
        before = written;
        return still && written > 0;
      },
      "the origin stands still",
      10_000,
      300,
    );
    expect(written).toBeLessThan(size);
    expect(tunnel.pair.agent.bufferedBytes).toBeLessThan(1024 * 1024);
    let read = 0;
    for await (const chunk of exchange.incoming) read += chunk.length;
    expect(read).toBe(size);
  });
});

test("HEAD keeps the Content-Length that GET would have, and no body follows", async () => {
  const tunnel = await answering("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
  expect(await tunnel.ask({ method: "HEAD" }).answer()).toMatchObject({
    headers: ["Content-Length", "12345"],
    length: "none",
  });
});

test("the answer may begin before the request's body has, and both go on together", async () => {
  let socketOf: Socket | undefined;
  const heard = new Watch();
  let text = "";
  origin = await RawOrigin.start((socket) => {
    socketOf = socket;
    socket.on("data", (bytes) => {
      if (text === "") socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      text += bytes.toString();
      heard.changed();
    });
  });
  end = await TunnelEnd.to(origin.port);
  const exchange = end.ask({ method: "POST", length: "unknown" });
  expect(await exchange.answer()).toMatchObject({ status: 200, length: "unknown" });
  for (const word of ["one", "two"]) {
    exchange.outgoing.write(Buffer.from(word));
    await heard.until(() => text.includes(word), `"${word}" at the origin`);
    socketOf?.write(`3\r\n${word}\r\n`);
    await exchange.incoming.ready();
    expect(Buffer.from(exchange.incoming.take() ?? []).toString()).toBe(word);
  }
  socketOf?.write("0\r\n\r\n");
  exchange.outgoing.end();
  expect(await readAll(exchange)).toBe("");
  expect(await end.report()).toMatchObject({ bytesIn: 6, bytesOut: 6, outcome: "ok" });
});

test("an answer that is complete before the upload reaches the visitor whole, and the upload is let go", async () => {
  const watch = new Watch();
  let closed = false;
  const tunnel = await answering(
    "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nstop",
    {},
    (socket) => {
      socket.on("close", () => {
        closed = true;
        watch.changed();
      });
      socket.resume();
    },
  );
  const exchange = tunnel.ask({ method: "POST", length: "unknown" });
  exchange.outgoing.write(Buffer.from("x"));
  expect(await exchange.answer()).toMatchObject({ status: 413 });
  expect(await readAll(exchange)).toBe("stop");
  await watch.until(() => closed, "the origin's connection to end");
  expect(await tunnel.report()).toMatchObject({ status: 413, outcome: "ok" });
  // What the visitor still sends is dropped, without end.
  for (let i = 0; i < 64; i++) {
    exchange.outgoing.write(Buffer.alloc(64 * 1024));
    await exchange.outgoing.ready().catch(() => {});
  }
  exchange.outgoing.end();
  await poll(() => tunnel.streams === 0, "the stream is over");
});

/** Uploads until the origin's socket is full and a little more waits at the agent, with credit left for more. */
async function fill(tunnel: TunnelEnd, { outgoing }: Exchange): Promise<void> {
  const piece = Buffer.alloc(4096, "z");
  let looks = 0;
  await poll(
    () => {
      if (outgoing.queuedBytes > 0) return false;
      if (tunnel.pair.agent.bufferedBytes > 2 * piece.length) return ++looks === 50;
      looks = 0;
      outgoing.write(piece);
      return false;
    },
    "a full socket",
    10_000,
    1,
  );
}

test("an answer that is complete while the last of the upload waits for the origin's socket frees its slot", async () => {
  const watch = new Watch();
  let socketOf: Socket | undefined;
  let closed = false;
  origin = await RawOrigin.start((socket) => {
    socketOf = socket;
    socket.pause();
    socket.on("close", () => {
      closed = true;
      watch.changed();
    });
  });
  end = await TunnelEnd.to(origin.port);
  const exchange = end.ask({ method: "POST", length: "unknown" });
  await fill(end, exchange);
  const { serve, pair } = end;
  const windowBytes = pair.agent.promisedBytes;
  exchange.outgoing.end();
  await poll(() => pair.agent.promisedBytes < windowBytes, "the end of the upload at the agent");
  socketOf?.write("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nstop");
  expect(await exchange.answer()).toMatchObject({ status: 413 });
  expect(await readAll(exchange)).toBe("stop");
  socketOf?.resume();
  expect(await end.report()).toMatchObject({ status: 413, outcome: "ok" });
  await watch.until(() => closed, "the origin's connection to end");
  expect([end.streams, serve.inFlight, pair.agent.promisedBytes]).toEqual([0, 0, 0]);
});

test("an origin that stops reading an upload and says nothing is origin-timeout", async () => {
  origin = await RawOrigin.start((socket) => socket.pause());
  end = await TunnelEnd.to(origin.port, { timeoutMs: 1000 });
  const exchange = end.ask({ method: "POST", length: "unknown" });
  await fill(end, exchange);
  await expect(exchange.answer()).rejects.toMatchObject({ code: "origin-timeout" });
});

test("an upload is taken at the origin's pace", async () => {
  let socketOf: Socket | undefined;
  origin = await RawOrigin.start((socket) => {
    socketOf = socket;
    socket.pause();
  });
  end = await TunnelEnd.to(origin.port);
  const exchange = end.ask({ method: "POST", length: "unknown" });
  const piece = Buffer.alloc(64 * 1024, "z");
  let sent = 0;
  const size = 32 * 1024 * 1024;
  const upload = (async () => {
    while (sent < size) {
      sent += piece.length;
      if (!exchange.outgoing.write(piece)) await exchange.outgoing.ready();
    }
    exchange.outgoing.end();
  })();
  let before = -1;
  await poll(
    () => {
      const still = sent === before;
      before = sent;
      return still && sent > 0;
    },
    "the upload stands still",
    10_000,
    300,
  );
  expect(sent).toBeLessThan(size);
  let got = 0;
  socketOf?.on("data", (bytes) => {
    got += bytes.length;
  });
  socketOf?.resume();
  await upload;
  await poll(() => got > size, "all of it at the origin");
});

test.each(clients)(
  "a request by the %s client that is cancelled while it connects never reaches the origin",
  async (_name, ask) => {
    let bytes = "";
    origin = await RawOrigin.start((socket) => {
      socket.on("data", (chunk) => {
        bytes += chunk.toString();
        socket.write("HTTP/1.1 204 No Content\r\n\r\n");
      });
    });
    end = await TunnelEnd.to(origin.port);
    const server = end.origin;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const pair = await Pair.join((exchange) => {
      const answer = server.replay(exchange);
      // No socket can have connected before the next turn.
      answer.cancel(new TunnelError("cancelled"));
      resolve(answer);
    });
    ask(pair);
    const answer = await promise;
    expect(await answer.done).toMatchObject({ outcome: "cancelled" });
    // A later request that is answered shows that the one before is not on its way any more.
    await end.ask({ path: "/later" }).answer();
    expect(bytes).toMatch(/^GET \/later /);
  },
);
