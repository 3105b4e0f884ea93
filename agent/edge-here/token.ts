/**
 * Service tokens: who may connect an agent for a service, or send requests to it.
 *
 * They are JSON Web Tokens signed with the edge's secret (HS256). The agent only makes them: the edge checks them.
 */
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";

/** What a token's holder may do: connect an agent, or send requests where the edge asks visitors for a token. */
export type Role = "agent" | "visitor";

export interface TokenClaims {
  readonly service: string;
  readonly role: Role;
  /** When it was made, and when it ends, in milliseconds since 1970. */
  readonly nowMs: number;
  readonly expiresMs: number;
}

/** Signs a token. Its id (`jti`) is random, so that one token can be named in a log without showing it. */
export function signToken(claims: TokenClaims, secret: string): Promise<string> {
  return new SignJWT({ service: claims.service, role: claims.role })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuer("sluice")
    .setAudience("sluice")
    .setJti(randomUUID())
    .setIssuedAt(Math.floor(claims.nowMs / 1000))
    .setExpirationTime(Math.floor(claims.expiresMs / 1000))
    .sign(new TextEncoder().encode(secret));
}
