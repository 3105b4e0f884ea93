import { expect, test } from "vitest";
import { rayOf, requestId } from "../../codec/request-id.ts";

const session = "4a51984a-da27-4d1c-9f0b-1c5f0e8d7a66";

function named(...headers: string[]): string {
  return requestId({ method: "GET", path: "/", headers, length: "none" }, session, 7);
}

test("a request is named after its session and its stream", () => {
  expect(named("accept", "*/*")).toBe("4a51984a-da27-7");
});

test.each(["cf-ray", "CF-Ray"])("Cloudflare's name in %s is taken over", (field) => {
  expect(named("accept", "*/*", field, "8f3c1d2e4b5a6978-FRA")).toBe("8f3c1d2e4b5a6978-FRA");
  expect(named(field, "8f3c1d2e4b5a6978")).toBe("8f3c1d2e4b5a6978");
});

test.each([
  "",
  "x",
  "8F3C1D2E4B5A6978",
  "8f3c1d2e4b5a6978-fra",
  "8f3c1d2e4b5a6978-FRA, x",
  "8f3c1d2e4b5a6978\u2028",
])("what is none of Cloudflare's is not: %j", (field) => {
  expect(rayOf(field)).toBeUndefined();
  expect(named("cf-ray", field)).toBe("4a51984a-da27-7");
});
