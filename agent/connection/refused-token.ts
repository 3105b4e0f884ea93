/**
 * Why an edge refused a token, as far as its holder can tell: what a token says of itself is readable to everyone.
 *
 * The edge says only that it refused: it must not help whoever guesses.
 */
import * as v from "valibot";

const claims = v.object({ service: v.string(), role: v.string(), exp: v.number() });

/** The rest of the sentence "The edge refused the token: …", with what to do. Shows nothing of a token but its claims. */
export function whyRefused(token: string, service: string, nowMs: number): string {
  const command = `\`agent token --service ${service}\``;
  const found = v.safeParse(claims, claimsOf(token));
  if (!found.success) return `it is not what \`agent token\` prints. Make one with ${command}.`;
  const { service: named, role, exp } = found.output;
  if (named !== service) {
    return `it is for the service ${JSON.stringify(named)}, not for "${service}". Make one with ${command}.`;
  }
  if (role !== "agent") return `it is for visitors, not for agents. Make one with ${command}.`;
  if (exp * 1000 <= nowMs) {
    const since = new Date(exp * 1000).toISOString().replace(/\.000Z$/, "Z");
    return `it expired at ${since}. Make a new one with ${command}.`;
  }
  return `it was not signed with the secret that the edge runs with (TUNNEL_SECRET). Make one with that secret: ${command}.`;
}

function claimsOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split(".", 2)[1] ?? "", "base64url").toString());
  } catch {
    return undefined;
  }
}
