import { expect, test } from "vitest";
import { faultReason } from "../../agent/origin/fault.ts";

const error = (message: string, code?: string): Error =>
  Object.assign(new Error(message), { code });

test("the reason is the client's own message, in one line and never without end", () => {
  expect(faultReason(error("connect ECONNREFUSED 127.0.0.1:1", "ECONNREFUSED"))).toBe(
    "connect ECONNREFUSED 127.0.0.1:1",
  );
  expect(faultReason(error("one\r\ntwo\u001b[2K\n"))).toBe("one two [2K");
  expect(faultReason(error("x".repeat(1000)))).toHaveLength(256);
});

test("both addresses of localhost are named, and a code stands for no message", () => {
  const each = [error("connect ECONNREFUSED ::1:1"), error("connect ECONNREFUSED 127.0.0.1:1")];
  expect(faultReason(new AggregateError(each))).toBe(
    "connect ECONNREFUSED ::1:1, connect ECONNREFUSED 127.0.0.1:1",
  );
  expect(faultReason(error("", "EPIPE"))).toBe("EPIPE");
  expect(faultReason(new TypeError())).toBe("TypeError");
});

test("what a person can mend comes with what to do", () => {
  for (const code of ["DEPTH_ZERO_SELF_SIGNED_CERT", "ERR_TLS_CERT_ALTNAME_INVALID"]) {
    expect(faultReason(error("no", code))).toMatch(
      new RegExp(`^its certificate .*${code}.*--origin-ca .*--insecure-origin`),
    );
  }
  expect(faultReason(error("write EPROTO …:wrong version number:…\n", "EPROTO"))).toContain(
    "http:// instead of https://",
  );
});
