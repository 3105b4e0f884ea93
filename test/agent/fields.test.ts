import fc from "fast-check";
import { expect, test } from "vitest";
import { fromWire, requestFields, toWire } from "../../agent/origin/fields.ts";

test("text goes out as its UTF-8 bytes and comes back as it was", () => {
  expect(toWire("plain")).toBe("plain");
  expect(Buffer.from(toWire("grün €"), "latin1")).toEqual(Buffer.from("grün €", "utf8"));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(fromWire(toWire(text))).toBe(text);
      expect(fromWire(Buffer.from(text, "utf8"))).toBe(text);
    }),
  );
});

test("bytes that are not UTF-8 are latin1", () => {
  expect(fromWire(Buffer.from([0x67, 0xfc, 0x6e]))).toBe("gün");
  expect(fromWire("g\u00fcn")).toBe("gün");
});

test("the origin gets our Host and every field that may cross, in order, case and repetition", () => {
  const headers = [
    ["X-One", "1"],
    ["Host", "edge.example"],
    ["x-two", "2"],
    ["X-One", "again"],
    ["Connection", "x-two"],
    ["Expect", "100-continue"],
    ["Content-Length", "5"],
    ["Transfer-Encoding", "chunked"],
    ["Keep-Alive", "timeout=5"],
    ["Upgrade", "h2c"],
    ["TE", "trailers"],
    ["Sluice-Error", "forged"],
    ["__proto__", "fine"],
  ].flat();
  const head = { method: "GET", path: "/", headers, length: "none" } as const;
  const kept = [
    ["host", "localhost:4000"],
    ["X-One", "1"],
    ["X-One", "again"],
    ["__proto__", "fine"],
  ];
  expect(requestFields(head, { host: "localhost:4000", own: [], publicName: true })).toEqual(
    kept.flat(),
  );
});
