/** Bodies byte for byte in both directions, and the way in which their end is told. */
import { createHash, randomBytes } from "node:crypto";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bothWays } from "../support/differential.ts";
import { RawOrigin } from "../support/origin.ts";
import { values, Visitor } from "../support/raw-http.ts";
import { useTunnel } from "../support/use-tunnel.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

const tunnel = useTunnel();

/** Around one byte, one read, one frame, one window and one message. */
const sizes = [
  0,
  1,
  4095,
  4096,
  16 * KiB,
  64 * KiB - 1,
  64 * KiB,
  64 * KiB + 1,
  256 * KiB,
  MiB + 1,
];

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("an answer's body", () => {
  test.for(sizes)("of %d bytes with Content-Length keeps bytes and length", async (size) => {
    const body = randomBytes(size);
    tunnel.origin.on("/sized", async (received) => {
      await received.body();
      received.response.writeHead(200, { "content-length": size }).end(body);
    });
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, {
      target: "/sized",
    });

    expect(tunnelled.comparable).toEqual(direct.comparable);
    expect(tunnelled.answer.framing).toBe("length");
  });

  test.for(sizes)("of %d bytes in chunks stays in chunks", async (size) => {
    const body = randomBytes(size);
    tunnel.origin.on("/chunked", async (received) => {
      await received.body();
      received.response.flushHeaders();
      received.response.end(body);
    });
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, {
      target: "/chunked",
    });

    expect(tunnelled.comparable).toEqual(direct.comparable);
    expect(tunnelled.answer.framing).toBe("chunked");
  });

  test("of 48 MiB arrives whole, with length and in chunks", async () => {
    const block = randomBytes(MiB);
    const blocks = 48;
    const expected = createHash("sha256");
    for (let i = 0; i < blocks; i++) expected.update(block);
    const digest = expected.digest("hex");
    tunnel.origin.on("/large", async ({ response, target }) => {
      if (target.endsWith("?length")) response.setHeader("content-length", blocks * MiB);
      for (let i = 0; i < blocks; i++) {
        if (!response.write(block)) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end();
    });
    for (const [target, framing] of [
      ["/large?length", "length"],
      ["/large", "chunked"],
    ] as const) {
      const answer = await Visitor.ask(tunnel.through, { target }, 60_000);
      expect([answer.framing, answer.ended, sha256(answer.body)]).toEqual([
        framing,
        "complete",
        digest,
      ]);
    }
  });

  test("of a HEAD request does not exist, whatever length is told", async () => {
    tunnel.origin.on("/head", (received) => {
      received.response
        .writeHead(200, { "content-length": String(5 * MiB), "content-type": "video/mp4" })
        .end();
    });
    tunnel.origin.on("/head-chunked", (received) => {
      received.response.writeHead(200, { "transfer-encoding": "chunked" }).end();
    });
    for (const target of ["/head", "/head-chunked"]) {
      const request = { method: "HEAD", target };
      const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);
      expect(tunnelled.comparable).toEqual(direct.comparable);
    }
  });

  test("that ends with the origin's connection is passed on whole", async () => {
    const raw = await RawOrigin.start((socket) => {
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nX-Old: yes\r\n\r\nuntil the end"));
    });
    await tunnel.edge.agent({ service: "old", port: raw.port });
    const answer = await Visitor.ask(tunnel.edge.place("old"));
    await raw.stop();

    expect(answer.body.toString()).toBe("until the end");
    expect(answer.ended).toBe("complete");
  });

  test.for([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
    ["zstd", zstdCompressSync],
  ] as const)("in %s crosses as the bytes it is", async ([coding, compress]) => {
    const body = compress(Buffer.from("the same line again and again\n".repeat(2000)));
    tunnel.origin.on("/coded", async (received) => {
      await received.body();
      received.response
        .writeHead(200, {
          "content-encoding": coding,
          "content-length": body.length,
          "content-type": "text/plain",
        })
        .end(body);
    });
    const request = { target: "/coded", fields: [["Accept-Encoding", coding]] } as const;
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);

    expect(tunnelled.comparable).toEqual(direct.comparable);
    expect(tunnelled.answer.body.equals(body)).toBe(true);
  });

  test.for(["gzip", "br", "zstd", "x-own"])(
    "that only claims to be %s crosses as it is",
    async (coding) => {
      tunnel.origin.on("/claimed", async (received) => {
        await received.body();
        received.response.writeHead(200, { "content-encoding": coding });
        received.response.write("no compressed");
        received.response.end(" byte in here");
      });
      const request = { target: "/claimed", fields: [["Accept-Encoding", coding]] } as const;
      const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);

      expect(tunnelled.comparable).toEqual(direct.comparable);
    },
  );

  test("in coded chunks stays coded for a visitor who did not offer to decode", async () => {
    const body = gzipSync("unasked compression ".repeat(100));
    tunnel.origin.on("/unasked", async (received) => {
      await received.body();
      received.response.writeHead(200, { "content-encoding": "gzip" });
      received.response.write(body.subarray(0, 10));
      received.response.end(body.subarray(10));
    });
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, {
      target: "/unasked",
    });

    expect(tunnelled.comparable).toEqual(direct.comparable);
  });

  test("asked for in ranges comes in ranges", async () => {
    const body = randomBytes(100_000);
    tunnel.origin.on("/ranged", async (received) => {
      await received.body();
      const found = /^bytes=(\d+)-(\d+)$/.exec(values(received.fields, "range")[0] ?? "");
      if (found === null) return void received.response.writeHead(416).end();
      const [from, to] = [Number(found[1]), Number(found[2])];
      received.response
        .writeHead(206, {
          "content-range": `bytes ${from}-${to}/${body.length}`,
          "content-length": to - from + 1,
        })
        .end(body.subarray(from, to + 1));
    });
    for (const range of ["bytes=0-0", "bytes=5-99998", "bytes=50000-", "lines=1-2"]) {
      const request = {
        target: "/ranged",
        fields: [
          ["Range", range],
          ["If-Range", '"v1"'],
        ],
      } as const;
      const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);
      expect(tunnelled.comparable).toEqual(direct.comparable);
    }
  });
});

describe("a request's body", () => {
  test.for(sizes)("of %d bytes with Content-Length keeps bytes and length", async (size) => {
    const request = { method: "POST", target: "/sink", body: randomBytes(size) };
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);

    expect(tunnelled.comparable).toEqual(direct.comparable);
  });

  test.for(sizes)("of %d bytes in chunks stays in chunks", async (size) => {
    const request = { method: "PUT", target: "/sink", body: randomBytes(size), chunked: true };
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);

    expect(tunnelled.comparable).toEqual(direct.comparable);
    expect(tunnelled.received.framing).toBe("chunked");
  });

  test("of 32 MiB arrives whole", async () => {
    const body = randomBytes(32 * MiB);
    tunnel.origin.on(
      "/upload",
      async (received) => void received.response.end(sha256(await received.body(60_000))),
    );
    for (const chunked of [false, true]) {
      const request = { method: "POST", target: "/upload", body, chunked };
      const answer = await Visitor.ask(tunnel.through, request, 60_000);
      expect(answer.body.toString()).toBe(sha256(body));
    }
  });

  test("goes with GET, DELETE and OPTIONS too, with length and in chunks", async () => {
    for (const method of ["GET", "DELETE", "OPTIONS"]) {
      for (const chunked of [false, true]) {
        const request = { method, body: '{"query": "all"}', chunked };
        const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);
        expect(tunnelled.comparable).toEqual(direct.comparable);
      }
    }
  });

  test("of no bytes is an empty body, not a missing request", async () => {
    for (const chunked of [false, true]) {
      const request = { method: "POST", body: "", chunked };
      const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);
      expect(tunnelled.comparable).toEqual(direct.comparable);
      expect(tunnelled.answer.status).toBe(200);
    }
  });

  test("in gzip crosses as the bytes it is", async () => {
    const request = {
      method: "POST",
      body: gzipSync("compressed by the visitor"),
      fields: [
        ["Content-Encoding", "gzip"],
        ["Content-Type", "application/json"],
      ],
    } as const;
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, request);

    expect(tunnelled.comparable).toEqual(direct.comparable);
  });
});

test("one connection of a visitor carries one exchange after the other", async () => {
  tunnel.origin.on("/sized", (received) => void received.response.end("with a length"));
  tunnel.origin.on("/chunked", (received) => {
    received.response.write("in ");
    received.response.end("chunks");
  });
  const visitor = await Visitor.connect(tunnel.through);
  const bodies: string[] = [];
  for (const [method, target] of [
    ["GET", "/sized"],
    ["GET", "/chunked"],
    ["HEAD", "/sized"],
    ["POST", "/sink"],
    ["GET", "/sized"],
  ] as const) {
    visitor.request(method === "POST" ? { method, target, body: "abc" } : { method, target });
    bodies.push((await visitor.answer()).body.toString());
  }
  visitor.leave();

  expect(bodies).toEqual(["with a length", "in chunks", "", "POST /sink\n", "with a length"]);
});

describe("an answer of an origin that holds connections open", () => {
  let raw: RawOrigin;
  beforeAll(async () => {
    raw = await RawOrigin.start((socket) => {
      socket.on("data", () => {
        // Split inside the head, inside a chunk's size and inside its bytes.
        for (const piece of [
          "HTTP/1.1 20",
          "0 OK\r\nTransfer-Enc",
          "oding: chunked\r\nX-A: b\r\n\r",
          "\n0",
          "5\r\nhel",
          "lo\r",
          "\n0\r\n\r\n",
        ]) {
          socket.write(piece);
        }
      });
    });
    await tunnel.edge.agent({ service: "pieces", port: raw.port });
  }, 60_000);
  afterAll(async () => raw.stop());

  test("is the same however it is cut into segments", async () => {
    for (let i = 0; i < 3; i++) {
      const answer = await Visitor.ask(tunnel.edge.place("pieces"));
      expect([answer.status, answer.body.toString(), answer.ended]).toEqual([
        200,
        "hello",
        "complete",
      ]);
    }
  });
});
