/**
 * May this agent connect, may this visitor send: tokens are checked here, in the Worker, before an object is touched.
 *
 * It never signs. Tokens are JWTs, HS256 with TUNNEL_SECRET, made by `agent token`; the claims, also in the agent
 * room and in codec/PROTOCOL.md: `iss` and `aud` "sluice", `service`, `role` "agent" or "visitor", `iat`, `exp`, `jti`.
 */
import { decodeJwt, jwtVerify } from "jose";
import { TunnelError } from "../codec/errors.ts";
import type { Env } from "./env.ts";

export type Role = "agent" | "visitor";

/** Which of the two secrets signed a token: with "previous" it stops being good when that one is removed. */
export type Secret = "current" | "previous";

/** How the Worker tells the object which secret it was. An agent that sends it itself lies about nobody else. */
export const SECRET = "sluice-secret";

/** Shorter secrets can be guessed offline from one token: RFC 7518 section 3.2 wants 256 bits for HS256. */
const MIN_SECRET_CHARS = 32;

/** A token's id names the agent in the object's tags, which hold 256 characters. */
const MAX_TOKEN_ID_CHARS = 128;

/** No token of ours is longer; a longer one is not worth hashing. */
const MAX_TOKEN_CHARS = 2048;

/** Imported keys by secret: importing costs more than verifying. Two at most in one deployment. */
const keys = new Map<string, CryptoKey>();

async function keyOf(secret: string): Promise<CryptoKey> {
  const known = keys.get(secret);
  if (known !== undefined) return known;
  const bytes = new TextEncoder().encode(secret);
  const key = await crypto.subtle.importKey(
    "raw",
    bytes,
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );
  keys.set(secret, key);
  return key;
}

/** The secrets that may have signed a token, newest first. */
function secrets(env: Env): string[] {
  const current = env.TUNNEL_SECRET ?? "";
  if (current.length < MIN_SECRET_CHARS) {
    throw new TunnelError(
      "internal-error",
      `TUNNEL_SECRET is missing or shorter than ${MIN_SECRET_CHARS} characters: set it with \`wrangler secret put TUNNEL_SECRET\``,
    );
  }
  const previous = env.TUNNEL_SECRET_PREVIOUS ?? "";
  return previous.length < MIN_SECRET_CHARS ? [current] : [current, previous];
}

/**
 * Returns which secret signed `token`, when it is good for `service` and one of `roles`.
 * @throws TunnelError `unauthorized`; `internal-error` when the edge has no usable secret: never open by accident.
 */
export async function authorize(
  token: string | undefined,
  service: string,
  roles: readonly Role[],
  env: Env,
): Promise<Secret> {
  const candidates = secrets(env);
  if (token === undefined || token.length > MAX_TOKEN_CHARS) throw new TunnelError("unauthorized");
  for (const [age, secret] of candidates.entries()) {
    if (!(await isGood(token, service, roles, await keyOf(secret)))) continue;
    return age === 0 ? "current" : "previous";
  }
  throw new TunnelError("unauthorized");
}

async function isGood(
  token: string,
  service: string,
  roles: readonly Role[],
  key: CryptoKey,
): Promise<boolean> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ["HS256"],
      issuer: "sluice",
      audience: "sluice",
      requiredClaims: ["exp", "iat", "jti"],
    });
    const id = payload.jti ?? "";
    return (
      payload["service"] === service &&
      roles.some((role) => role === payload["role"]) &&
      id.length > 0 &&
      id.length <= MAX_TOKEN_ID_CHARS
    );
  } catch {
    return false;
  }
}

/** The token of `Authorization: Bearer <token>`, which agents send. */
export function bearerToken(request: Request): string | undefined {
  return /^Bearer +([^\s]+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
}

/** The id (`jti`) of a token that the Worker has already found good: the object needs it to know the agent again. */
export function tokenId(request: Request): string {
  return decodeJwt(bearerToken(request) ?? "").jti ?? "";
}

/**
 * Whether visitors need a token, by the variable VISITORS.
 * @throws TunnelError `internal-error` for a value that means nothing: a typing error must not open the service.
 */
export function visitorsNeedToken(env: Env): boolean {
  switch (env.VISITORS) {
    case undefined:
    case "":
    case "public":
      return false;
    case "token":
      return true;
    default:
      throw new TunnelError(
        "internal-error",
        `VISITORS is "public" or "token", not "${env.VISITORS}"`,
      );
  }
}
