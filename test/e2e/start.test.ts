/** `npm start`, as a newcomer runs it: a tunnel that works, and nothing left behind by Ctrl-C. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alive, descendants, procfs } from "../support/memory.ts";
import { Program } from "../support/program.ts";
import { chunk, type Place, Visitor } from "../support/raw-http.ts";
import { poll } from "../support/until.ts";

const START_MS = 60_000;

let started: Program;
let place: Place;

beforeAll(async () => {
  started = Program.start("npm", ["start"], { env: { PORT: "0" }, group: true });
  const [url] = await started.line(/^http:\/\/\S+\/send\/demo\/$/, START_MS);
  const { port, host, pathname } = new URL(url);
  place = { port: Number(port), host, prefix: pathname.replace(/\/$/, "") };
  await started.said(/^\s*curl /m);
}, START_MS);

afterAll(async () => {
  if (!started.ended) started.interrupt();
  await started.stop();
});

test("says which URL is public and how to try it", async () => {
  const [, tried] = await started.said(/^\s*curl (\S+)$/m);

  expect(tried).toBe(`http://${place.host}${place.prefix}/`);
});

describe("the demo origin answers through the tunnel", () => {
  test("with a small JSON page that repeats what it was asked", async () => {
    const answer = await Visitor.ask(place, { target: "/?id=mine" });

    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ id: "mine", method: "GET" });
  });

  test("with a download of as many bytes as one likes", async () => {
    const answer = await Visitor.ask(place, { target: "/download?bytes=3000001" });

    expect([answer.framing, answer.bodyBytes, answer.ended]).toEqual([
      "length",
      3_000_001,
      "complete",
    ]);
  });

  test("with an event stream, event by event", async () => {
    const visitor = await Visitor.connect(place);
    visitor.request({ target: "/events" });
    await visitor.head();
    const text = await poll(async () => {
      const soFar = (await visitor.received(1)).toString();
      return soFar.split("\n\n").length > 2 && soFar;
    }, "two events");
    visitor.reset();

    expect(text).toMatch(/^id: 1\nevent: tick\ndata: .*\n\nid: 2\nevent: tick\ndata: .*\n\n/);
  });

  test("with an echo of what is still being sent", async () => {
    const visitor = await Visitor.connect(place);
    visitor.begin("PUT", "/echo", [["Transfer-Encoding", "chunked"]]);
    for (const text of ["one", "two", "three"]) {
      const before = visitor.bodyBytes;
      visitor.write(chunk(text));
      await visitor.received(before + text.length);
    }
    visitor.write(chunk());
    const answer = await visitor.answer();
    visitor.leave();

    expect([answer.body.toString(), answer.ended]).toEqual(["onetwothree", "complete"]);
  });
});

test.runIf(procfs)("Ctrl-C ends it all, even while somebody is served", async () => {
  const below = descendants(started.pid).map(({ pid }) => pid);
  expect(below.length).toBeGreaterThanOrEqual(2);
  const visitor = await Visitor.connect(place);
  visitor.request({ target: "/events" });
  await visitor.received(1);
  started.interrupt();
  await started.exit();
  await poll(() => !below.some(alive), "all processes of npm start ending");
  visitor.leave();

  await expect(Visitor.connect(place)).rejects.toThrow("ECONNREFUSED");
});
