/** Header fields: which are legal, and which cross. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crossing, headerValue, isHeaderName, isHeaderValue } from "../../codec/headers.ts";
import { headers as headerLists } from "../support/arbitraries.ts";

describe("a header name", () => {
  test.each(["a", "X-Y", "__proto__", "!#$%&'*+-.^_`|~09azAZ"])("may be %s", (name) => {
    expect(isHeaderName(name)).toBe(true);
  });

  test.each(["", " ", "a b", "a:", "a\r", "a\n", "\n", "ä", "a\0", "(a)", "a/b", '"a"', "a\u212a"])(
    "may not be %j",
    (name) => {
      expect(isHeaderName(name)).toBe(false);
    },
  );
});

describe("a header value", () => {
  test("may hold any character but controls, and a tab", () => {
    for (let code = 0; code < 0x300; code++) {
      const legal = code === 9 || (code >= 0x20 && code !== 0x7f);
      expect(isHeaderValue(`a${String.fromCharCode(code)}b`), `character ${code}`).toBe(legal);
    }
    expect([isHeaderValue(""), isHeaderValue("Grüße, 世界 🚰")]).toEqual([true, true]);
  });

  test("is text that UTF-8 can say: no half of a surrogate pair", () => {
    expect([isHeaderValue("\ud83d"), isHeaderValue("\udeb0\ud83d")]).toEqual([false, false]);
  });
});

describe("what crosses from one connection to the next", () => {
  test.each([
    "Connection",
    "keep-alive",
    "Proxy-Authenticate",
    "proxy-authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "UPGRADE",
  ])("is never %s, which belongs to one connection", (name) => {
    expect(crossing(["a", "1", name, "x", "b", "2"])).toEqual(["a", "1", "b", "2"]);
  });

  test.each(["Sluice-Error", "sluice-anything", "SLUICE-X"])(
    "is never %s, which only the edge may say",
    (name) => {
      expect(crossing([name, "x"])).toEqual([]);
    },
  );

  test("is nothing that Connection names, in any case, in any of several fields", () => {
    const received = [
      "x-a",
      "1",
      "Connection",
      "close, X-A",
      "X-B",
      "2",
      "connection",
      " x-b ,,x-c",
      "x-c",
      "3",
      "x-d",
      "4",
    ];
    expect(crossing(received)).toEqual(["x-d", "4"]);
  });

  test("keeps order, case and repetition of everything else", () => {
    const received = ["Set-Cookie", "a=1", "X-Y", "1", "set-cookie", "b=2", "Set-Cookie", "a=1"];
    expect(crossing(received)).toEqual(received);
  });

  test("is the same when it crosses again, and a subsequence of what came", () => {
    fc.assert(
      fc.property(headerLists, (received) => {
        const once = crossing(received);
        expect(crossing(once)).toEqual(once);
        let at = 0;
        for (let i = 0; i < once.length; i += 2, at += 2) {
          while (received[at] !== once[i] || received[at + 1] !== once[i + 1]) {
            at += 2;
            expect(at).toBeLessThan(received.length);
          }
        }
      }),
    );
  });
});

describe("a field's value", () => {
  test("is the first of its name, in any case", () => {
    const received = ["x-y", "1", "X-Y", "2", "empty", ""];
    expect([headerValue(received, "X-y"), headerValue(received, "EMPTY")]).toEqual(["1", ""]);
  });

  test("is undefined when there is none, whatever JavaScript has by that name", () => {
    expect([
      headerValue([], "a"),
      headerValue(["a", "b"], "b"),
      headerValue([], "__proto__"),
    ]).toEqual([undefined, undefined, undefined]);
  });
});
