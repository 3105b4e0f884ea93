/**
 * Nothing waits for more than it needs: each piece of a body is with the other side before the next one is sent.
 *
 * The proof is causality, not time: whoever would buffer two pieces would wait for ever for the second.
 */
import { describe, expect, test } from "vitest";
import { chunk, values, Visitor } from "../support/raw-http.ts";
import { useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel();

describe("an answer is delivered as it comes", () => {
  test("its head before the first byte of its body", async () => {
    tunnel.origin.on("/head-first", (received) => {
      received.response.writeHead(200, { "x-early": "yes" }).flushHeaders();
    });
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.request({ target: "/head-first" });

    expect(values((await visitor.head()).fields, "x-early")).toEqual(["yes"]);
    (await arrival).response.end("body");
    expect((await visitor.answer()).body.toString()).toBe("body");
    visitor.leave();
  });

  test.for([
    [
      "events of an event stream",
      { "content-type": "text/event-stream", "cache-control": "no-cache" },
    ],
    ["chunks of any type", { "content-type": "application/octet-stream" }],
    ["pieces of a body with a length", { "content-length": 40 * "data: event 10\n\n".length }],
  ] as const)("%s", async ([, fields]) => {
    tunnel.origin.on("/events", (received) => {
      received.response.writeHead(200, fields).flushHeaders();
    });
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.request({ target: "/events", fields: [["Accept", "text/event-stream"]] });
    const { response } = await arrival;

    let sent = "";
    for (let i = 10; i < 50; i++) {
      const event = `data: event ${i}\n\n`;
      sent += event;
      // Nothing that comes later can push it out.
      response.write(event);
      expect((await visitor.received(sent.length)).toString()).toBe(sent);
    }
    response.end();
    const answer = await visitor.answer();
    visitor.leave();

    expect(answer.body.toString()).toBe(sent);
    expect(answer.ended).toBe("complete");
  });

  test("single bytes beside a download that never stops", async () => {
    const block = Buffer.alloc(64 * 1024);
    tunnel.origin.on("/endless", ({ response }) => {
      const more = (): void => {
        while (!response.destroyed && response.write(block));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    });
    tunnel.origin.on("/bytes", ({ response }) => response.writeHead(200).flushHeaders());
    const download = await Visitor.connect(tunnel.through);
    download.begin("GET", "/endless", [], false);
    await download.head();

    const arrival = tunnel.origin.next((received) => received.target === "/bytes");
    const visitor = await Visitor.connect(tunnel.through);
    visitor.request({ target: "/bytes" });
    const { response } = await arrival;
    for (let i = 1; i <= 20; i++) {
      response.write("x");
      await visitor.received(i);
    }
    response.end();
    expect((await visitor.answer()).ended).toBe("complete");
    visitor.leave();
    download.reset();
  });
});

describe("an upload is delivered as it is sent", () => {
  test("its head before the first byte of its body", async () => {
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/upload", [["Content-Length", "4"]]);
    const received = await arrival;
    visitor.write("body");

    expect((await received.body()).toString()).toBe("body");
    expect((await visitor.answer()).status).toBe(200);
    visitor.leave();
  });

  test.for(["in chunks", "with a length"])("%s", async (framing) => {
    const chunked = framing === "in chunks";
    const piece = "0123456789";
    const pieces = 30;
    const length = ["Content-Length", String(piece.length * pieces)] as const;
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("PUT", "/upload", [chunked ? ["Transfer-Encoding", "chunked"] : length]);
    const received = await arrival;
    let sent = "";
    for (let i = 0; i < pieces; i++) {
      sent += piece;
      visitor.write(chunked ? chunk(piece) : piece);
      expect((await received.bytes(sent.length)).toString()).toBe(sent);
    }
    if (chunked) visitor.write(chunk());

    expect((await received.body()).toString()).toBe(sent);
    expect((await visitor.answer()).ended).toBe("complete");
    visitor.leave();
  });
});

describe("both directions at once", () => {
  test("every piece of an upload comes back before the next one is sent", async () => {
    tunnel.origin.on("/echo", ({ request, response }) => {
      response.writeHead(200, { "content-type": "application/octet-stream" }).flushHeaders();
      request.pipe(response);
    });
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/echo", [["Transfer-Encoding", "chunked"]]);
    await visitor.head();
    let sent = "";
    for (let i = 0; i < 30; i++) {
      sent += `piece ${i};`;
      visitor.write(chunk(`piece ${i};`));
      expect((await visitor.received(sent.length)).toString()).toBe(sent);
    }
    visitor.write(chunk());
    const answer = await visitor.answer();
    visitor.leave();

    expect(answer.body.toString()).toBe(sent);
    expect(answer.ended).toBe("complete");
  });

  test("16 MiB echoed while they are sent", async () => {
    const block = Buffer.alloc(64 * 1024, "echo");
    const blocks = 256;
    tunnel.origin.on("/echo-large", ({ request, response }) => void request.pipe(response));
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin(
      "POST",
      "/echo-large",
      [["Content-Length", String(block.length * blocks)]],
      false,
    );
    for (let i = 0; i < blocks; i++) visitor.write(block);
    const answer = await visitor.answer(60_000);
    visitor.leave();

    expect([answer.bodyBytes, answer.ended]).toEqual([block.length * blocks, "complete"]);
  });

  test("an answer may end before the upload has, and the next exchange is unharmed", async () => {
    tunnel.origin.on("/early", ({ response }) => {
      response.writeHead(403, { "content-type": "text/plain" }).end("not needed");
    });
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/early", [["Content-Length", "1000000"]]);
    visitor.write("a beginning");
    const answer = await visitor.answer();
    visitor.leave();

    expect([answer.status, answer.body.toString(), answer.ended]).toEqual([
      403,
      "not needed",
      "complete",
    ]);
    expect((await Visitor.ask(tunnel.through)).status).toBe(200);
  });

  test("an answer may begin before the upload has ended", async () => {
    tunnel.origin.on("/begin", ({ response }) => response.writeHead(200).flushHeaders());
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/begin", [["Transfer-Encoding", "chunked"]]);
    visitor.write(chunk("first"));
    const received = await arrival;
    await visitor.head();
    received.response.write("answer begins");
    await visitor.received("answer begins".length);
    visitor.write(chunk(" second"));
    visitor.write(chunk());
    const body = await received.body();
    received.response.end(`; upload was: ${body.toString()}`);

    expect((await visitor.answer()).body.toString()).toBe(
      "answer begins; upload was: first second",
    );
    visitor.leave();
  });
});

describe("Expect: 100-continue", () => {
  test("the visitor is told to continue, and the origin never sees the expectation", async () => {
    const arrival = tunnel.origin.next();
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/expect", [
      ["Expect", "100-continue"],
      ["Content-Length", "4"],
    ]);
    const [interim] = await visitor.interim(1);
    visitor.write("body");
    const answer = await visitor.answer();
    visitor.leave();
    const received = await arrival;

    expect(interim?.status).toBe(100);
    expect(answer.status).toBe(200);
    expect((await received.body()).toString()).toBe("body");
    expect(values(received.fields, "expect")).toEqual([]);
  });

  test("an origin that refuses at once is heard without a byte of the body", async () => {
    tunnel.origin.on("/refuse", ({ response }) => response.writeHead(413).end("too large"));
    const visitor = await Visitor.connect(tunnel.through);
    visitor.begin("POST", "/refuse", [
      ["Expect", "100-continue"],
      ["Content-Length", "1000000000"],
    ]);
    const answer = await visitor.answer();
    visitor.leave();

    expect([answer.status, answer.body.toString()]).toEqual([413, "too large"]);
  });
});
