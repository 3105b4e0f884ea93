/**
 * Why an edge refused a token, as far as its holder can tell: what a token says of itself is readable to everyone.
 *
 * The edge says only that it refused: it must not help whoever guesses.
 */
import * as v from "valibot";

/** What a token says of itself. Times are seconds since 1970. */
export interface TokenClaims {
  readonly service: string;
  readonly role: string;
  readonly exp: number;
}

/** The last second that a Date can hold. */
const MOST_SECONDS = 8.64e12;

const claims = v.object({
  service: v.string(),
  role: v.string(),
  exp: v.pipe(v.number(), v.minValue(0), v.maxValue(MOST_SECONDS)),
});

/** The rest of the sentence "The edge refused the token: …", with what to do. Shows nothing of a token but its claims. */
export function whyRefused(token: string, service: string, nowMs: number): string {
  const command = makeToken(service);
  const flaw = flawOf(token, service, nowMs);
  if (flaw !== undefined)
    return `${flaw}. Make ${/expired/.test(flaw) ? "a new one" : "one"} with ${command}.`;
  return `it was not signed with the secret that the edge runs with (TUNNEL_SECRET). Make one with that secret: ${command}.`;
}

/** The command that makes a token for `service`. */
export function makeToken(service: string): string {
  return `\`agent token --service ${service}\``;
}

/** Why no edge can take the token as an agent's of `service`, as the end of a sentence; undefined when it may. */
export function flawOf(token: string, service: string, nowMs: number): string | undefined {
  const found = claimsOf(token);
  if (found === undefined) return "it is not what `agent token` prints";
  const { service: named, role, exp } = found;
  if (named !== service) {
    return `it is for the service ${JSON.stringify(named)}, not for "${service}"`;
  }
  if (role !== "agent") return "it is for visitors, not for agents";
  if (exp * 1000 <= nowMs) {
    const since = new Date(exp * 1000).toISOString().replace(/\.000Z$/, "Z");
    return `it expired at ${since}`;
  }
  return undefined;
}

/** What is readable in a token, signed or not; undefined when it is none of ours. */
export function claimsOf(token: string): TokenClaims | undefined {
  try {
    const text = Buffer.from(token.split(".", 2)[1] ?? "", "base64url").toString();
    const found = v.safeParse(claims, JSON.parse(text));
    return found.success ? found.output : undefined;
  } catch {
    return undefined;
  }
}
