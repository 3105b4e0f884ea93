/** The error table: what other programs and people rely on. */
import { describe, expect, test } from "vitest";
import {
  closeOf,
  endOf,
  type ErrorCode,
  errorCodeOf,
  errors,
  TunnelError,
} from "../../codec/errors.ts";

const table = Object.entries(errors) as [ErrorCode, (typeof errors)[ErrorCode]][];

describe("the error table", () => {
  test("gives each code a number of its own, small enough for a WebSocket close code", () => {
    const numbers = table.map(([, { wire }]) => wire);
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const wire of numbers) {
      expect(Number.isInteger(wire) && wire >= 0 && 4000 + wire <= 4999).toBe(true);
    }
  });

  test.each(table)("finds %s by its number", (code, { wire }) => {
    expect(errorCodeOf(wire)).toBe(code);
  });

  test("finds nothing for a number that no code has", () => {
    expect([errorCodeOf(999), errorCodeOf(-1), errorCodeOf(1.5)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test.each(table)("says in plain sentences what %s means", (_, { says }) => {
    expect(says).toMatch(/^[A-Z].*[.?]$/);
    expect(says).not.toMatch(/[\r\n]|undefined|\|/);
  });

  test.each(table)(
    "answers %s with an HTTP error, and one that says it is safe to retry only where it is",
    (_, rule) => {
      expect(rule.status).toBeGreaterThanOrEqual(400);
      expect(rule.status).toBeLessThanOrEqual(504);
      if (rule.status === 503 && rule.ends !== "session") expect(rule.retryable).toBe(true);
      if (rule.ends === "session") expect(rule.retryable).toBe(false);
    },
  );

  test.each(table)("names %s as a header value and a close reason can", (code) => {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
  });
});

describe("a TunnelError", () => {
  test("carries its code, and a note that is for logs", () => {
    const error = new TunnelError("origin-reset", "ECONNRESET");
    expect(error).toBeInstanceOf(Error);
    expect([error.code, error.note, error.name]).toEqual([
      "origin-reset",
      "ECONNRESET",
      "TunnelError",
    ]);
    expect(error.message).toBe("origin-reset: ECONNRESET");
  });

  test("explains itself by the table when there is no note", () => {
    expect(new TunnelError("no-route").message).toBe(`no-route: ${errors["no-route"].says}`);
  });
});

test.each(table)(
  "the close frame for %s says it in 123 bytes of ASCII, whatever the note",
  (code, { wire, ends }) => {
    expect(closeOf(code, "")).toEqual({ code: 4000 + wire, reason: code });
    expect(closeOf(code, "why").reason).toBe(`${code}: why`);
    const { reason } = closeOf(code, "größer 🫖 ".repeat(40));
    expect(Buffer.byteLength(reason)).toBe(123);
    expect(reason).toMatch(/^[\x20-\x7e]+$/);
    expect(endOf(4000 + wire)).toBe(ends === "session" ? code : "agent-lost");
  },
);
