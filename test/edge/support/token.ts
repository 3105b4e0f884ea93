/** Tokens as `agent token` makes them, and as nobody should. */
import { env } from "cloudflare:workers";
import { SignJWT } from "jose";

export interface TokenOptions {
  readonly service: string;
  readonly role?: string;
  readonly id?: string;
  readonly secret?: string;
  readonly issuer?: string;
  readonly audience?: string;
  readonly algorithm?: string;
  /** Seconds from now; negative is expired. */
  readonly expiresIn?: number;
}

export function signToken(options: TokenOptions): Promise<string> {
  const { service, role = "agent", id = crypto.randomUUID(), expiresIn = 3600 } = options;
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ service, role })
    .setProtectedHeader({ alg: options.algorithm ?? "HS256" })
    .setIssuer(options.issuer ?? "sluice")
    .setAudience(options.audience ?? "sluice")
    .setIssuedAt(now)
    .setExpirationTime(now + expiresIn)
    .setJti(id)
    .sign(new TextEncoder().encode(options.secret ?? env.TUNNEL_SECRET));
}
