/** Each way in which the tunnel itself says no: its status, its code, its sentence, and that it says it in time. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SignJWT, type JWTPayload } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, errors } from "../../codec/errors.ts";
import { HostileAgent } from "../support/hostile-agent.ts";
import { RawOrigin } from "../support/origin.ts";
import type { Program } from "../support/program.ts";
import { type Answer, requestHead, values, Visitor } from "../support/raw-http.ts";
import { BUSY_MS } from "../support/until.ts";
import { SERVICE, useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel();

/** What every answer of the edge itself must be. */
function expectRefusal(answer: Answer, code: ErrorCode): void {
  const { status, says } = errors[code];
  expect([answer.status, values(answer.fields, "sluice-error")]).toEqual([status, [code]]);
  expect(answer.body.toString()).toContain(says);
  expect(answer.body.toString()).toContain(code);
  expect(answer.body.toString()).not.toMatch(/\n\s+at |\.ts:\d|node:|Error:/);
  expect(answer.ended).toBe("complete");
}

describe("no-route", () => {
  test.for([
    "/",
    "/send",
    "/send/",
    "/send//x",
    "/elsewhere",
    "/websocket",
    "/status/",
    "/send/UPPER/x",
    "/send/a%2Fb/x",
  ])("for %s", async (target) => {
    expectRefusal(await Visitor.ask(tunnel.edge.self, { target }), "no-route");
  });
});

describe("agent-offline", () => {
  test("at once, and when to try again", async () => {
    const asked = performance.now();
    const answer = await Visitor.ask(tunnel.edge.place("nobody"), { target: "/x" });

    expectRefusal(answer, "agent-offline");
    expect(Number(values(answer.fields, "retry-after")[0])).toBeGreaterThan(0);
    // The grace in which a lost agent is waited for is 15 s.
    expect(performance.now() - asked).toBeLessThan(BUSY_MS);
  });

  test("as JSON for whoever accepts it", async () => {
    const fields = [["Accept", "application/json"]] as const;
    const answer = await Visitor.ask(tunnel.edge.place("nobody"), { fields });

    expect(answer.status).toBe(503);
    expect(values(answer.fields, "content-type")[0]).toMatch(/^application\/json/);
    const body: unknown = JSON.parse(answer.body.toString());
    expect(JSON.stringify(body)).toContain('"agent-offline"');
    expect(JSON.stringify(body)).toContain(errors["agent-offline"].says);
  });

  test("without a body for HEAD", async () => {
    const answer = await Visitor.ask(tunnel.edge.place("nobody"), { method: "HEAD" });

    expect([answer.status, values(answer.fields, "sluice-error")]).toEqual([
      503,
      ["agent-offline"],
    ]);
  });

  test("also for an upload, which need not be sent to its end", async () => {
    const visitor = await Visitor.connect(tunnel.edge.place("nobody"));
    visitor.begin("POST", "/x", [["Content-Length", "1000000"]]);
    visitor.write("a beginning");
    expectRefusal(await visitor.answer(), "agent-offline");
    visitor.leave();
  });
});

describe("an origin that fails", () => {
  test("origin-refused: nobody listens on its port", async () => {
    const raw = await RawOrigin.start(() => {});
    await raw.stop();
    await tunnel.edge.agent({ service: "closed", port: raw.port });

    expectRefusal(await Visitor.ask(tunnel.edge.place("closed")), "origin-refused");
    const upload = { method: "POST", body: Buffer.alloc(100_000) };
    expectRefusal(await Visitor.ask(tunnel.edge.place("closed"), upload), "origin-refused");
  });

  test("origin-timeout: it does not begin its answer in time, and its request is ended", async () => {
    await tunnel.edge.agent({
      service: "silent",
      port: tunnel.origin.port,
      flags: ["--origin-timeout", "300ms"],
    });
    tunnel.origin.on("/silent", () => {});
    const arrival = tunnel.origin.next();
    const asked = performance.now();
    const answer = await Visitor.ask(tunnel.edge.place("silent"), { target: "/silent" });
    const tookMs = performance.now() - asked;

    expectRefusal(answer, "origin-timeout");
    expect(tookMs).toBeGreaterThan(250);
    expect(tookMs).toBeLessThan(5000);
    await (await arrival).gone();
  });

  test("but an answer that has begun may take as long as it likes", async () => {
    tunnel.origin.on("/slow", ({ response }) => {
      response.write("begun");
      setTimeout(() => response.end(" and ended"), 900);
    });
    const answer = await Visitor.ask(tunnel.edge.place("silent"), { target: "/slow" });

    expect([answer.body.toString(), answer.ended]).toEqual(["begun and ended", "complete"]);
  });

  test("origin-reset: it closes before it answers", async () => {
    tunnel.origin.on("/closes", ({ response }) => response.destroy());

    expectRefusal(await Visitor.ask(tunnel.through, { target: "/closes" }), "origin-reset");
  });

  test.for([
    ["no HTTP at all", "220 mail.example ready\r\n\r\n"],
    ["both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"],
    ["a status of no meaning", "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"],
    [
      "a switch nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: own\r\nConnection: Upgrade\r\n\r\n",
    ],
    [
      "a head above the limit",
      `HTTP/1.1 200 OK\r\nX-Large: ${"x".repeat(100_000)}\r\nContent-Length: 0\r\n\r\n`,
    ],
    [
      "more fields than the limit",
      `HTTP/1.1 200 OK\r\n${"X-Many: x\r\n".repeat(300)}Content-Length: 0\r\n\r\n`,
    ],
  ] as const)("origin-invalid: %s", async ([what, bytes], { onTestFinished }) => {
    const service = what.toLowerCase().replaceAll(" ", "-");
    const raw = await RawOrigin.start((socket) => socket.once("data", () => socket.end(bytes)));
    onTestFinished(async () => raw.stop());
    await tunnel.edge.agent({ service, port: raw.port });

    expectRefusal(await Visitor.ask(tunnel.edge.place(service)), "origin-invalid");
  });
});

describe("a request that may not cross", () => {
  test.for([
    [
      "more than 64 KiB of fields",
      Array.from({ length: 70 }, (_, i) => [`X-Field-${i}`, "x".repeat(1000)] as const),
    ],
    ["more than 256 fields", Array.from({ length: 300 }, (_, i) => [`X-Field-${i}`, "x"] as const)],
  ] as const)("head-too-large: %s", async ([, fields]) => {
    expectRefusal(await Visitor.ask(tunnel.through, { fields }), "head-too-large");
  });

  test.for([
    ["two lengths that differ", "Content-Length: 5\r\nContent-Length: 6\r\n"],
    ["a list of lengths that differ", "Content-Length: 5, 6\r\n"],
    ["a length that is no number", "Content-Length: 5x\r\n"],
    ["a negative length", "Content-Length: -5\r\n"],
    ["a coding that nobody knows", "Transfer-Encoding: x-own\r\n"],
    ["chunked twice", "Transfer-Encoding: chunked, chunked\r\n"],
    ["a name with a blank", "X Name: a\r\n"],
    ["a blank before the colon", "X-Name : a\r\n"],
    ["a line that continues the one before", "X-Name: a\r\n b\r\n"],
    ["a NUL in a value", "X-Name: a\0b\r\n"],
    ["a control character in a value", "X-Name: a\x01b\r\n"],
    ["a bare carriage return in a value", "X-Name: a\rX-Injected: b\r\n"],
    ["a line without a colon", "X-Name\r\n"],
  ] as const)("%s is refused and never reaches the origin", async ([, lines]) => {
    const before = tunnel.origin.log.length;
    const visitor = await Visitor.connect(tunnel.through);
    visitor.expect();
    const { prefix, host } = tunnel.through;
    const head = requestHead("POST", `${prefix}/smuggled`, host);
    visitor.write(`${head.slice(0, -2)}${lines}\r\n5\r\nhello\r\n0\r\n\r\n`);
    const answer = await visitor.answer();
    visitor.leave();

    expect(Math.floor(answer.status / 100)).toBe(4);
    // A refused request must leave nothing behind that could pass for another one.
    expect((await Visitor.ask(tunnel.through)).status).toBe(200);
    expect(tunnel.origin.log.slice(before).map((received) => received.target)).toEqual(["/"]);
  });
});

test.for([
  "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
  "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
])(
  "a request with both lengths is refused, or is read by its chunks and crosses with them alone: %j",
  async (lines) => {
    const before = tunnel.origin.log.length;
    const visitor = await Visitor.connect(tunnel.through);
    visitor.expect();
    const { prefix, host } = tunnel.through;
    const head = requestHead("POST", `${prefix}/both`, host);
    visitor.write(`${head.slice(0, -2)}${lines}\r\n5\r\nhello\r\n0\r\n\r\n`);
    const { status } = await visitor.answer();
    visitor.leave();
    const [received, ...more] = tunnel.origin.log.slice(before);

    // workerd drops the Content-Length before the Worker sees the request (RFC 9112 section 6.3 allows both).
    expect(more).toEqual([]);
    if (received === undefined) expect(status).toBe(400);
    else {
      expect((await received.body()).toString()).toBe("hello");
      expect(values(received.fields, "content-length")).toEqual([]);
      expect(values(received.fields, "transfer-encoding")).toEqual(["chunked"]);
    }
  },
);

describe("an agent that may not connect", () => {
  async function forged(claims: JWTPayload, secret?: string): Promise<string> {
    const own = await readFile(join(tunnel.edge.directory, "secret"), "utf8");
    const now = Math.floor(Date.now() / 1000);
    const whole = { service: SERVICE, role: "agent", iat: now - 100, exp: now + 100, ...claims };
    return new SignJWT({ iss: "sluice", aud: "sluice", jti: "forged", ...whole })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret ?? own));
  }

  const past = Math.floor(Date.now() / 1000) - 50;
  const unsigned = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from(
    `{"iss":"sluice","aud":"sluice","service":"${SERVICE}","role":"agent","jti":"a","iat":1,"exp":99999999999}`,
  ).toString("base64url")}.`;
  const cases: readonly (readonly [what: string, token: () => Promise<string> | string])[] = [
    ["no token of anybody's", () => "nonsense"],
    ["a token signed with another secret", async () => forged({}, "another secret ".repeat(4))],
    ["an expired token", async () => forged({ exp: past })],
    ["another service's token", async () => forged({ service: "other" })],
    ["a visitor's token", async () => forged({ role: "visitor" })],
    ["a token that nobody signed", () => unsigned],
  ];

  test.for(cases)("with %s is answered 401", async ([, token]) => {
    const answer = await Visitor.ask(tunnel.edge.self, {
      target: `/websocket/${SERVICE}`,
      fields: [
        ["Connection", "Upgrade"],
        ["Upgrade", "websocket"],
        ["Sec-WebSocket-Version", "13"],
        ["Sec-WebSocket-Key", Buffer.alloc(16).toString("base64")],
        ["Sec-WebSocket-Protocol", "sluice.v1"],
        ["Authorization", `Bearer ${await token()}`],
      ],
    });

    expectRefusal(answer, "unauthorized");
  });

  test("because its token is another service's exits with 4 and says why", async () => {
    const token = await tunnel.edge.token({ service: "other" });
    const agent = await tunnel.edge.dial({ service: SERVICE, port: tunnel.origin.port, token });

    expect(await agent.exit(30_000)).toEqual({ code: 4, signal: null });
    expect(agent.events.find((event) => event.event === "error")?.["code"]).toBe("unauthorized");
    expect(agent.events.some((event) => event.event === "connected")).toBe(false);
  });

  test("because it does not ask for a WebSocket of our protocol is told so", async () => {
    const target = `/websocket/${SERVICE}`;
    expectRefusal(await Visitor.ask(tunnel.edge.self, { target }), "upgrade-required");
  });

  test("leaves the connected one in peace", async () => {
    expect((await Visitor.ask(tunnel.through)).status).toBe(200);
  });
});

describe("an agent for which there is no room", () => {
  const service = "full";
  const crowd: HostileAgent[] = [];
  let token = "";
  let last: Program;

  beforeAll(async () => {
    token = await tunnel.edge.token({ service });
    while (crowd.length < 63) {
      const agent = await HostileAgent.connectWith(tunnel.edge, service, token);
      await agent.greet();
      crowd.push(agent);
    }
    last = await tunnel.edge.agent({ service, port: tunnel.origin.port, token });
  }, 60_000);
  afterAll(() => {
    for (const agent of crowd) agent.leave();
  });

  test("says so once with what to do, asks rarely, and is let in when another leaves", async () => {
    const agent = await tunnel.edge.dial({ service, port: tunnel.origin.port, token });
    const { code, reason, retryMs, at } = await agent.event("disconnected");
    const why = `as many agents of "full" are connected as may be. End one (${tunnel.edge.url}/status/full lists them to who has the token), or start this one with --replace to take over; when one leaves, this one comes in`;
    expect([code, reason]).toEqual(["too-many-agents", why]);
    expect(retryMs).toBeGreaterThanOrEqual(30_000);
    for (let tries = 1; tries < 4; tries++) {
      agent.kill("SIGHUP");
      const count = (): number =>
        agent.events.filter((event) => event.at >= at && event.event === "disconnected").length;
      await agent.event("disconnected", () => count() > tries);
    }
    await agent.said(/not let in/);
    expect(agent.stderr.match(/not let in: .* \(too-many-agents\); next try in/g)).toHaveLength(1);
    // Only it, and not that the doctor finds out why.
    expect(agent.events.some(({ event }) => event === "warning")).toBe(false);
    last.kill("SIGTERM");
    await last.exit();
    agent.kill("SIGHUP");
    await agent.event("connected");
    last = agent;
  });

  test("is let in with --replace, and takes over", async () => {
    const flags = ["--replace"];
    const heir = await tunnel.edge.agent({ service, port: tunnel.origin.port, token, flags });
    await last.event("replaced");
    expect(await last.exit()).toEqual({ code: 0, signal: null });
    expect((await Visitor.ask(tunnel.edge.place(service))).status).toBe(200);
    expect(heir.ended).toBe(false);
  });
});
