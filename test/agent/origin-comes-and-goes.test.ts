/** Origins that restart, and connections that end while they are idle. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type ListenOptions, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { ContinueFilter } from "../../agent/origin/origin-socket.ts";
import type { OriginOptions } from "../../agent/origin/origin.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { RawOrigin } from "../support/origin.ts";
import { readAll } from "./pair.ts";
import { TunnelEnd } from "./tunnel-end.ts";

let server: Server | undefined;
let raw: RawOrigin | undefined;
let end: TunnelEnd | undefined;

afterEach(async () => {
  await end?.stop();
  server?.closeAllConnections();
  server?.close();
  await raw?.stop();
  server = undefined;
  raw = undefined;
});

async function start(where: ListenOptions): Promise<Server> {
  server = createServer((request, response) => request.pipe(response));
  await new Promise<void>((resolve) => server?.listen(where, resolve));
  return server;
}

/** A port where nobody listens, which a server may have in a moment. */
async function freePort(): Promise<number> {
  const taken = await start({ port: 0, host: "127.0.0.1" });
  const { port } = taken.address() as AddressInfo;
  await new Promise((resolve) => taken.close(resolve));
  return port;
}

/** Resolves when the agent has tried in vain; nobody else can know, so it is asked as the agent asks. */
async function refused(port: number): Promise<void> {
  await new Promise<void>((resolve) => connect(port, "127.0.0.1").once("error", () => resolve()));
}

const clients: readonly (readonly [string, (end: TunnelEnd) => Exchange])[] = [
  ["whole", (tunnel) => tunnel.ask({ method: "POST", body: "hello" })],
  [
    "streaming",
    (tunnel) => {
      const exchange = tunnel.ask({ method: "POST", length: "unknown" });
      exchange.outgoing.write(Buffer.from("hello"));
      exchange.outgoing.end();
      return exchange;
    },
  ],
];

describe.each(clients)("by the %s client", (_name, ask) => {
  test("a request that meets a restarting origin is answered when it is back, whatever its method", async () => {
    const port = await freePort();
    end = await TunnelEnd.to(port);
    const exchange = ask(end);
    await refused(port);
    await start({ port, host: "127.0.0.1" });
    expect(await exchange.answer()).toMatchObject({ status: 200 });
    expect(await readAll(exchange)).toBe("hello");
    expect(await end.report()).toMatchObject({ outcome: "ok", bytesIn: 5, bytesOut: 5 });
  });

  test("a visitor who leaves while the origin restarts is forgotten", async () => {
    const port = await freePort();
    end = await TunnelEnd.to(port);
    const exchange = ask(end);
    await refused(port);
    exchange.cancel("cancelled");
    expect(await end.report()).toMatchObject({ outcome: "cancelled" });
    expect(end.serve.inFlight).toBe(0);
  });

  test("an origin that stays away is origin-refused after 1.5 s, and at once while that is known", async () => {
    end = await TunnelEnd.to(await freePort());
    const begun = performance.now();
    await expect(ask(end).answer()).rejects.toMatchObject({ code: "origin-refused" });
    const first = performance.now() - begun;
    await expect(ask(end).answer()).rejects.toMatchObject({ code: "origin-refused" });
    const second = performance.now() - begun - first;
    expect(first).toBeGreaterThan(1400);
    // It did not wait again.
    expect(second).toBeLessThan(1400);
  });
});

test("a Unix socket whose file is gone meanwhile is waited for too", async () => {
  const directory = await mkdtemp(join(tmpdir(), "sluice-unix-"));
  try {
    const socketPath = join(directory, "origin.sock");
    const url = new URL("http://localhost");
    const address = { url, socketPath, http2: false, label: `unix:${socketPath}` };
    end = await TunnelEnd.to(0, { address });
    const exchange = end.ask({ method: "POST", body: "hello" });
    await new Promise<void>((resolve) => connect(socketPath).once("error", () => resolve()));
    await start({ path: socketPath });
    expect(await exchange.answer()).toMatchObject({ status: 200 });
    expect(await readAll(exchange)).toBe("hello");
  } finally {
    await rm(directory, { recursive: true });
  }
});

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** Answers the first request of the first connection, and does `then` with its second; others answer always. */
async function stale(
  then: (socket: Socket) => void,
  options: Partial<OriginOptions> = {},
): Promise<{ end: TunnelEnd; heads: string[] }> {
  const heads: string[] = [];
  let connections = 0;
  raw = await RawOrigin.start((socket) => {
    const first = ++connections === 1;
    let requests = 0;
    socket.on("data", (bytes) => {
      heads.push(bytes.toString("latin1").split(" ", 1)[0] ?? "");
      if (first && ++requests === 2) then(socket);
      else socket.write(heads.at(-1) === "HEAD" ? ANSWER.slice(0, -2) : ANSWER);
    });
  });
  end = await TunnelEnd.to(raw.port, options);
  const exchange = end.ask();
  await exchange.answer();
  expect(await readAll(exchange)).toBe("ok");
  return { end, heads };
}

test("an answer that came while the agent was stopped counts, though its time is over", async () => {
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
    const server = require("node:http").createServer((_request, response) => {
      parentPort.postMessage("asked");
      setTimeout(() => response.end("in time"), 20);
    });
    server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));`,
    { eval: true },
  );
  try {
    const [port] = (await once(worker, "message")) as [number];
    end = await TunnelEnd.to(port, { timeoutMs: 400 });
    const exchange = end.ask();
    await once(worker, "message");
    // Nothing runs here meanwhile, as after SIGSTOP.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    expect(await exchange.answer()).toMatchObject({ status: 200 });
    expect(await readAll(exchange)).toBe("in time");
  } finally {
    await worker.terminate();
  }
});

describe("a kept connection that the origin closes as a request is sent", () => {
  const closing: readonly (readonly [string, (socket: Socket) => void])[] = [
    ["with FIN", (socket) => socket.end()],
    ["with RST", (socket) => socket.resetAndDestroy()],
  ];

  describe.each(closing)("%s", (_how, close) => {
    test.each(["GET", "HEAD", "OPTIONS"])("is no end for a %s", async (method) => {
      const { end: tunnel, heads } = await stale(close);
      const exchange = tunnel.ask({ method });
      expect(await exchange.answer()).toMatchObject({ status: 200 });
      expect(heads).toEqual(["GET", method, method]);
      expect(await tunnel.report(1)).toMatchObject({ outcome: "ok" });
    });

    test.each<[string, object]>([
      ["a POST", { method: "POST" }],
      ["a DELETE", { method: "DELETE" }],
      ["a GET with a body", { body: "hello" }],
    ])("is origin-reset for %s, which the origin may have seen", async (_what, head) => {
      const { end: tunnel, heads } = await stale(close);
      await expect(tunnel.ask(head).answer()).rejects.toMatchObject({ code: "origin-reset" });
      expect(heads).toHaveLength(2);
    });
  });

  test("is no end for many at once, though all kept connections have ended", async () => {
    const used = new Set<Socket>();
    raw = await RawOrigin.start((socket) => {
      socket.on("data", () => {
        if (used.has(socket)) socket.destroy();
        else if (used.add(socket).size > 8) socket.write(ANSWER);
        // Each of the first eight has a connection of its own, because all of them wait.
        else if (used.size === 8) for (const each of used) each.write(ANSWER);
      });
    });
    end = await TunnelEnd.to(raw.port);
    const tunnel = end;
    for (let round = 0; round < 2; round++) {
      const exchanges = Array.from({ length: 8 }, () => tunnel.ask());
      for (const exchange of exchanges) {
        expect(await exchange.answer()).toMatchObject({ status: 200 });
        expect(await readAll(exchange)).toBe("ok");
      }
    }
  });

  test("is origin-reset when a byte of the answer had come", async () => {
    const { end: tunnel, heads } = await stale((socket) => socket.end("HTTP/1.1 20"));
    await expect(tunnel.ask().answer()).rejects.toMatchObject({ code: "origin-reset" });
    expect(heads).toHaveLength(2);
  });
});

test("a first request that the origin drops is not sent again", async () => {
  let requests = 0;
  raw = await RawOrigin.start((socket) => {
    socket.on("data", () => {
      requests++;
      socket.destroy();
    });
  });
  end = await TunnelEnd.to(raw.port);
  await expect(end.ask().answer()).rejects.toMatchObject({ code: "origin-reset" });
  expect(requests).toBe(1);
});

test("a request is sent again once, not for ever", async () => {
  let requests = 0;
  raw = await RawOrigin.start((socket) => {
    let answered = 0;
    socket.on("data", () => {
      requests++;
      if (requests <= 2 && answered++ === 0) socket.write(ANSWER);
      else socket.destroy();
    });
  });
  end = await TunnelEnd.to(raw.port);
  // Two kept connections, both of which will end at their next request.
  const two = [end.ask(), end.ask()];
  for (const exchange of two) {
    await exchange.answer();
    await readAll(exchange);
  }
  await expect(end.ask().answer()).rejects.toMatchObject({ code: "origin-reset" });
  expect(requests).toBe(4);
});

describe("a 100 Continue that nobody asked for", () => {
  const CONTINUE = "HTTP/1.1 100 Continue\r\nServer: old\r\n\r\n";

  test.each(clients)("does not break the answer by the %s client", async (_name, ask) => {
    raw = await RawOrigin.start((socket) => {
      socket.once("data", () => socket.write(`${CONTINUE}${CONTINUE}${ANSWER}`));
    });
    end = await TunnelEnd.to(raw.port);
    const exchange = ask(end);
    expect(await exchange.answer()).toMatchObject({ status: 200, length: 2 });
    expect(await readAll(exchange)).toBe("ok");
  });

  test("is taken out however it is cut, and a body that looks like one is not", () => {
    const body = `HTTP/1.1 200 OK\r\n\r\n${CONTINUE}`;
    const bytes = Buffer.from(CONTINUE + body);
    for (let cut = 1; cut < bytes.length; cut++) {
      const filter = new ContinueFilter();
      const first = filter.pass(bytes.subarray(0, cut));
      const passed =
        first === undefined
          ? filter.pass(bytes.subarray(cut))
          : Buffer.concat([first, bytes.subarray(cut)]);
      expect(passed?.toString(), `cut at ${cut}`).toBe(body);
    }
  });

  test.each(["SSH", "HTTP/2", "HTTP/1.1 101 ", "HTTP/1.1 1000", "HTTP/1.1 200", "HTTPS"])(
    "is not what begins with %j",
    (text) => {
      expect(new ContinueFilter().pass(Buffer.from(text))?.toString()).toBe(text);
    },
  );
});
