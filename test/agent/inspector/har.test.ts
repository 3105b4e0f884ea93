import { gzipSync } from "node:zlib";
import * as v from "valibot";
import { expect, test } from "vitest";
import { Capture } from "../../../agent/inspector/capture.ts";
import { decoded } from "../../../agent/inspector/decoded.ts";
import { harText } from "../../../agent/inspector/har.ts";
import { answerHead, endWell, opened } from "./seen.ts";

const pairs = v.array(v.object({ name: v.string(), value: v.string() }));
const ms = v.pipe(v.number(), v.minValue(0));

/** What HAR 1.2 requires (http://www.softwareishard.com/blog/har-12-spec/). */
const har = v.object({
  log: v.object({
    version: v.literal("1.2"),
    creator: v.object({ name: v.string(), version: v.string() }),
    entries: v.array(
      v.object({
        startedDateTime: v.pipe(v.string(), v.isoTimestamp()),
        time: ms,
        request: v.object({
          method: v.string(),
          url: v.pipe(v.string(), v.url()),
          httpVersion: v.string(),
          cookies: pairs,
          headers: pairs,
          queryString: pairs,
          headersSize: v.number(),
          bodySize: v.number(),
          postData: v.optional(v.object({ mimeType: v.string(), text: v.string() })),
        }),
        response: v.object({
          status: v.number(),
          statusText: v.string(),
          httpVersion: v.string(),
          cookies: pairs,
          headers: pairs,
          content: v.object({
            size: v.number(),
            mimeType: v.string(),
            text: v.optional(v.string()),
            encoding: v.optional(v.literal("base64")),
            comment: v.optional(v.string()),
          }),
          redirectURL: v.string(),
          headersSize: v.number(),
          bodySize: v.number(),
        }),
        cache: v.object({}),
        timings: v.object({ blocked: ms, connect: ms, send: ms, wait: ms, receive: ms }),
        _webSocketMessages: v.optional(
          v.array(
            v.object({ type: v.string(), time: v.number(), opcode: v.number(), data: v.string() }),
          ),
        ),
      }),
    ),
  }),
});

function archive(capture: Capture, reveal = false) {
  const url = ({ request }: { request: { path: string } }): string =>
    `http://edge.test${request.path}`;
  const made = [...harText(capture.newest().reverse(), { reveal, url })].join("");
  return v.parse(har, JSON.parse(made)).log.entries;
}

test("an archive has what HAR 1.2 asks for, also of what failed or is under way", () => {
  const capture = new Capture();
  const watch = capture.of("shop");
  watch.opened({ request: { method: "GET", path: "/", headers: [], length: "none" } } as never);
  const refused = opened(watch, { path: "/refused" });
  refused.ended({ status: 502, bytesIn: 0, bytesOut: 0, outcome: "origin-refused" });
  const post = opened(watch, {
    method: "POST",
    path: "/orders?a=1&a=%20",
    headers: ["Content-Type", "application/json", "Cookie", "session=9; b=2"],
    length: 2,
  });
  post.received?.(Buffer.from("{}"));
  post.answered?.(answerHead("image/png"));
  post.sent?.(Buffer.from([0x89, 0xff]));
  endWell(post, 2);
  const [open, failed, posted] = archive(capture);
  expect(open?.response.status).toBe(0);
  expect(failed?.response.status).toBe(502);
  expect(posted?.request).toMatchObject({
    queryString: [
      { name: "a", value: "1" },
      { name: "a", value: " " },
    ],
    postData: { mimeType: "application/json", text: "{}" },
    cookies: [
      { name: "session", value: "••••" },
      { name: "b", value: "••••" },
    ],
  });
  expect(posted?.response.content).toMatchObject({ encoding: "base64", text: "if8=" });
  const { timings, time } = posted ?? {};
  const parts = Object.values(timings ?? {}).reduce((sum, each) => sum + each, 0);
  expect(parts).toBeCloseTo(time ?? 0, 1);
});

test("secrets are masked unless they are asked for", () => {
  const capture = new Capture();
  const watch = opened(capture.of("shop"), { headers: ["Authorization", "Bearer tea"] });
  watch.answered?.(answerHead("text/plain", { headers: ["Set-Cookie", "a=tea"] }));
  endWell(watch);
  expect(JSON.stringify(archive(capture))).not.toContain("tea");
  expect(JSON.stringify(archive(capture, true)).match(/tea/g)).toHaveLength(2);
});

test("a WebSocket's messages are in it as Chrome writes them", () => {
  const capture = new Capture();
  const watch = opened(capture.of("shop"), { length: "socket" });
  watch.answered?.({ status: 101, reason: "", headers: [], length: "socket" });
  watch.sent?.(Buffer.from([0x81, 0x02, 0x68, 0x69]));
  expect(archive(capture)[0]?._webSocketMessages).toMatchObject([
    { type: "receive", opcode: 1, data: "hi" },
  ]);
});

test("compressed bodies are read as far as they were kept, and never beyond a bound", () => {
  const text = Array.from({ length: 9000 }, (_, i) => `tea ${i * 7919}`).join("\n");
  const packed = gzipSync(text);
  expect(decoded(packed, "gzip").bytes.toString()).toBe(text);
  const half = decoded(packed.subarray(0, packed.length >> 1), "GZIP");
  expect(half.fault).toBe("");
  expect(text.startsWith(half.bytes.toString())).toBe(true);
  expect(half.bytes.length).toBeGreaterThan(1000);
  const bomb = gzipSync(Buffer.alloc(20_000_000));
  expect(decoded(bomb, "gzip")).toMatchObject({ bytes: bomb });
  expect(decoded(bomb, "gzip").fault).toContain("more than 1 MiB");
  expect(decoded(Buffer.from("no"), "br").fault).toContain("not valid br");
  expect(decoded(Buffer.from("no"), "x").fault).toContain("not known");
});
