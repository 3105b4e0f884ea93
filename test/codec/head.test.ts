/** Heads: what is legal, and what is sure to fit into a frame. */
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RequestHead, ResponseHead } from "../../codec/frame.ts";
import { fitsFrame, headersFault, requestFault, responseFault } from "../../codec/head.ts";
import { MAX_HEAD_BYTES } from "../../codec/limits.ts";
import { requestHead, responseHead } from "../support/arbitraries.ts";
import { messageOf } from "../support/pair.ts";

const request: RequestHead = { method: "GET", path: "/", headers: [], length: "none" };
const response: ResponseHead = { status: 200, reason: "OK", headers: [], length: "unknown" };

describe("a request's head", () => {
  test.each([
    ["a plain one", {}],
    ["a method that nobody has heard of", { method: "BREW" }],
    ["a method in small letters", { method: "get" }],
    ["a query, a fragment, two slashes", { path: "//a/../b?c=d#e" }],
    ["* as its target", { method: "OPTIONS", path: "*" }],
    ["an empty body", { length: 0 }],
    ["the largest body", { length: Number.MAX_SAFE_INTEGER }],
  ] as const)("is legal: %s", (_, change) => {
    expect(requestFault({ ...request, ...change })).toBeUndefined();
  });

  test.each([
    ["an empty method", { method: "" }],
    ["a method with CR LF", { method: "GET / HTTP/1.1\r\nX:" }],
    ["CONNECT", { method: "CONNECT" }],
    ["CONNECT in small letters", { method: "connect" }],
    ["an empty target", { path: "" }],
    ["an absolute target", { path: "http://a/" }],
    ["a target that does not begin with a slash", { path: "@evil.example/" }],
    ["a target with a blank", { path: "/a b" }],
    ["a target with CR", { path: "/\r" }],
    ["a target with LF at its end", { path: "/a\n" }],
    ["a target with DEL", { path: "/\x7f" }],
    ["a target with é", { path: "/é" }],
    ["half a byte of body", { length: 0.5 }],
    ["a negative length", { length: -1 }],
    ["a length beyond exact numbers", { length: 2 ** 53 }],
    ["a length that is no number", { length: Number.NaN }],
    ["a header without a value", { headers: ["a"] }],
    ["a header value with LF", { headers: ["a", "b\nc: d"] }],
  ] as const)("is illegal: %s", (_, change) => {
    expect(requestFault({ ...request, ...change })).toMatch(/^(a|the) /);
  });
});

describe("an answer's head", () => {
  test.each([200, 204, 304, 404, 599])("may have status %d", (status) => {
    expect(responseFault({ ...response, status })).toBeUndefined();
  });

  test.each([100, 101, 199, 600, 0, -200, 200.5, Number.NaN])(
    "may not have status %d",
    (status) => {
      expect(responseFault({ ...response, status })).toBeDefined();
    },
  );

  test("may have any reason without control characters", () => {
    expect(responseFault({ ...response, reason: "" })).toBeUndefined();
    expect(responseFault({ ...response, reason: "Schön, 世界" })).toBeUndefined();
    expect(responseFault({ ...response, reason: "OK\r\nX: y" })).toBeDefined();
  });

  test("may not have illegal headers or an illegal length", () => {
    expect(responseFault({ ...response, headers: ["a b", "c"] })).toBeDefined();
    expect(responseFault({ ...response, length: 1.5 })).toBeDefined();
  });
});

test("a list of fields is judged by its first fault", () => {
  expect(headersFault([])).toBeUndefined();
  expect(headersFault(["a", "b", "a b", "c"])).toBe("a header name is not a token");
  expect(headersFault(["a", "b", "c", "\0"])).toBe("a header value has control characters");
  expect(headersFault(["a", "b", "c"])).toBe("a header field has no value");
});

describe("what fits a frame", () => {
  test("is never larger than the limit when it is encoded", () => {
    const unit = fc.constantFrom("a", "ä", "世", "🚰");
    fc.assert(
      fc.property(
        unit,
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 0, max: 1300 }),
        (text, fields, size) => {
          const headers = Array.from({ length: fields }, (_, i) => [
            `x-${i}`,
            text.repeat(size),
          ]).flat();
          if (!fitsFrame(headers, request.method, request.path)) return;
          const frame = { kind: "request", stream: 2 ** 31 - 1, credit: 2 ** 31 - 1 } as const;
          const { length } = messageOf({
            ...frame,
            head: { ...request, headers, length: 2 ** 52 },
          });
          expect(length).toBeLessThanOrEqual(MAX_HEAD_BYTES);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("leaves less than a hundred bytes and a few for each field unused", () => {
    for (let size = MAX_HEAD_BYTES - 200; size <= MAX_HEAD_BYTES; size++) {
      if (fitsFrame(["a", "b".repeat(size)])) continue;
      expect(encode(["a", "b".repeat(size)]).length).toBeGreaterThan(MAX_HEAD_BYTES - 100);
      return;
    }
    expect.unreachable("64 KiB in one value fit");
  });

  test("are all heads that arbitraries make, which are legal too", () => {
    fc.assert(
      fc.property(requestHead, responseHead, (ask, answer) => {
        expect([requestFault(ask), responseFault(answer)]).toEqual([undefined, undefined]);
        expect(fitsFrame(ask.headers, ask.method, ask.path)).toBe(true);
      }),
    );
  });
});
