import { expect, test } from "vitest";
import { whyRefused } from "../../agent/connection/refused-token.ts";
import { signToken } from "../../agent/edge-here/token.ts";

const nowMs = Date.parse("2026-11-24T06:00:00Z");

function token(claims: Partial<Parameters<typeof signToken>[0]>): Promise<string> {
  const all = {
    service: "shop",
    role: "agent",
    nowMs,
    expiresMs: nowMs + 1000,
    ...claims,
  } as const;
  return signToken(all, "s".repeat(32));
}

test.each([
  ["another service", { service: "other" }, 'for the service "other", not for "shop"'],
  ["a visitor", { role: "visitor" }, "for visitors, not for agents"],
  ["yesterday", { expiresMs: nowMs }, "it expired at 2026-11-24T06:00:00Z"],
  ["another secret", {}, "not signed with the secret that the edge runs with"],
] as const)("a token for %s is told from the others", async (_what, claims, says) => {
  const why = whyRefused(await token(claims), "shop", nowMs);
  expect(why).toContain(says);
  expect(why).toContain("`agent token --service shop`");
});

test.each(["a", "a.b.c", `a.${Buffer.from("null").toString("base64url")}.c`, ".."])(
  "%j is no token, and is not shown",
  (text) => expect(whyRefused(text, "shop", nowMs)).toMatch(/^it is not what `agent token` prints/),
);
