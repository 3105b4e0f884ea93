/**
 * Whoever goes away is heard at the other end at once, and a body that cannot be finished is cut, never ended well.
 *
 * A visitor who closes with FIN while nothing is written to it is heard only at the next byte: to workerd, FIN alone
 * could be a visitor who has merely ended its sending.
 */
import { describe, expect, test } from "vitest";
import { RawOrigin } from "../support/origin.ts";
import { chunk, values, Visitor } from "../support/raw-http.ts";
import { BUSY_MS, poll } from "../support/until.ts";
import { expectUnfinished } from "../support/unfinished.ts";
import { SERVICE, useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel({ agent: ["--concurrency", "256"] });

const block = Buffer.alloc(64 * 1024, "x");

describe("a visitor who goes away reaches the origin at once", () => {
  const leave = { "with FIN": "leave", "with RST": "reset" } as const;

  test("with RST, between two events", async () => {
    tunnel.origin.on("/events", ({ response }) => response.writeHead(200).write("data: 1\n\n"));
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.request({ target: "/events" });
    await visitor.received(1);
    const left = performance.now();
    visitor.reset();

    expect((await (await arrival).gone()) - left).toBeLessThan(BUSY_MS);
  });

  test("with FIN, at the next event", async () => {
    tunnel.origin.on("/events", ({ response }) => response.writeHead(200).write("data: 1\n\n"));
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.request({ target: "/events" });
    await visitor.received(1);
    visitor.leave();
    const received = await arrival;
    const written = performance.now();
    received.response.write("data: 2\n\n");

    expect((await received.gone()) - written).toBeLessThan(BUSY_MS);
  });

  test.for(["with FIN", "with RST"] as const)("%s, in the middle of a download", async (how) => {
    tunnel.origin.on("/download", ({ response }) => {
      response.writeHead(200, { "content-length": 2 ** 30 });
      const more = (): void => {
        while (!response.destroyed && response.write(block));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    });
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("GET", "/download", [], false);
    await visitor.received(4 * 1024 * 1024);
    const left = performance.now();
    visitor[leave[how]]();

    expect((await (await arrival).gone()) - left).toBeLessThan(BUSY_MS);
  });

  test("with RST, before the answer has begun", async () => {
    tunnel.origin.on("/thinking", () => {});
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.request({ target: "/thinking" });
    const received = await arrival;
    const left = performance.now();
    visitor.reset();

    expect((await received.gone()) - left).toBeLessThan(BUSY_MS);
  });

  test("with RST, just before the answer begins", async () => {
    tunnel.origin.on("/late", () => {});
    const late = Array.from({ length: 20 }, async (_, i) => {
      const arrival = tunnel.origin.next(({ target }) => target === `/late?${i}`);
      const visitor = await Visitor.connect(tunnel.through);
      visitor.request({ target: `/late?${i}` });
      const received = await arrival;
      visitor.reset();
      await new Promise((resolve) => setTimeout(resolve, i));
      const written = performance.now();
      received.response.writeHead(200).write("late");
      if (i % 2 === 0) return (await received.gone()) - written;
      // All of this answer reaches the edge, where nobody wants it.
      received.response.end();
      return 0;
    });

    for (const took of await Promise.all(late)) expect(took).toBeLessThan(BUSY_MS);
    const token = await tunnel.edge.token({ service: SERVICE });
    await poll(async () => {
      const { body } = await Visitor.ask(tunnel.edge.self, {
        target: `/status/${SERVICE}`,
        fields: [["Authorization", `Bearer ${token}`]],
      });
      return JSON.parse(body.toString()).promisedBytes === 0;
    }, "nothing is promised for what nobody reads");
  });

  test.for(["in chunks", "with a length"])("in the middle of an upload %s", async (framing) => {
    const field =
      framing === "in chunks"
        ? (["Transfer-Encoding", "chunked"] as const)
        : (["Content-Length", "1000"] as const);
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/upload", [field]);
    visitor.write(framing === "in chunks" ? chunk("beginning") : "beginning");
    const received = await arrival;
    await received.bytes("beginning".length);
    const left = performance.now();
    visitor.reset();

    expect((await received.gone()) - left).toBeLessThan(BUSY_MS);
    expect(received.request.complete).toBe(false);
  });

  test("who stopped reading long before", async () => {
    tunnel.origin.on("/unread", ({ response }) => {
      const more = (): void => {
        while (!response.destroyed && response.write(block));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    });
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("GET", "/unread", [], false);
    await visitor.head();
    visitor.socket.pause();
    const { response, gone } = await arrival.then((received) => ({
      response: received.response,
      gone: received.gone(),
    }));
    // The origin cannot go on: everything between it and the visitor is full.
    let written = -1;
    await poll(
      () => {
        const before = written;
        written = response.socket?.bytesWritten ?? 0;
        return response.writableNeedDrain && written === before;
      },
      "the origin being held back",
      20_000,
      250,
    );
    const left = performance.now();
    visitor.reset();

    expect((await gone) - left).toBeLessThan(BUSY_MS);
  });

  test("and many at once leave nothing behind: the service answers as before", async () => {
    tunnel.origin.on("/held", ({ response }) => response.writeHead(200).write("held"));
    const visitors = await Promise.all(
      Array.from({ length: 100 }, () => Visitor.connect(tunnel.through)),
    );
    const from = tunnel.origin.log.length;
    for (const visitor of visitors) visitor.request({ target: "/held" });
    await Promise.all(visitors.map((visitor) => visitor.received(4)));
    for (const visitor of visitors) visitor.reset();
    await Promise.all(tunnel.origin.log.slice(from).map((received) => received.gone()));

    expect((await Visitor.ask(tunnel.through)).status).toBe(200);
  });
});

describe("an origin that dies in the middle of an answer cuts it", () => {
  test.for(["in chunks", "with a length"])("%s", async (framing) => {
    tunnel.origin.on("/dies", ({ response }) => {
      if (framing === "with a length") response.setHeader("content-length", 1000);
      response.write("the beginning");
    });
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.request({ target: "/dies" });
    await visitor.received("the beginning".length);
    const died = performance.now();
    (await arrival).response.destroy();
    const answer = await visitor.answer();
    visitor.leave();

    expect(answer.framing).toBe(framing === "in chunks" ? "chunked" : "length");
    expect(answer.body.toString()).toBe("the beginning");
    expect(answer.ended).toBe("cut");
    expect(performance.now() - died).toBeLessThan(BUSY_MS);
  });

  test.for([
    ["RST", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"],
    ["FIN short of its length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"],
    [
      "FIN before the last chunk",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
    [
      "a chunk that is none",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nZZ\r\n",
    ],
  ] as const)("by %s", async ([how, bytes], { onTestFinished }) => {
    const service = how.toLowerCase().replaceAll(" ", "-");
    const raw = await RawOrigin.start((socket) => {
      socket.once("data", () => {
        socket.write(bytes, () => {
          if (how === "RST") socket.resetAndDestroy();
          else if (how.startsWith("FIN")) socket.end();
        });
      });
    });
    onTestFinished(async () => raw.stop());
    await tunnel.edge.agent({ service, port: raw.port });
    const visitor = await Visitor.connect(tunnel.edge.place(service));
    visitor.request({});
    const answer = await visitor.fate();
    visitor.leave();

    expectUnfinished(answer, "origin-reset");
  });

  test("in the middle of an upload, before it has answered", async () => {
    tunnel.origin.on("/dies-early", async (received) => {
      await received.bytes(5);
      received.response.destroy();
    });
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/dies-early", [["Transfer-Encoding", "chunked"]]);
    visitor.write(chunk("beginning"));
    const answer = await visitor.answer();
    visitor.leave();

    expect(answer.status).toBe(502);
    expect(values(answer.fields, "sluice-error")).toEqual(["origin-reset"]);
  });

  test("and the service answers as before", async () => {
    expect((await Visitor.ask(tunnel.through)).status).toBe(200);
  });
});
