/**
 * Who may use the inspector: a browser that was opened with the printed URL, or a program that has its token.
 *
 * It listens on 127.0.0.1 alone, but any page in the browser can send requests there, under any name that its owner
 * makes resolve to 127.0.0.1 (DNS rebinding). Hence the `Host` must be ours, an `Origin` must be ours, and whoever asks
 * must know a secret that no page can read or guess.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** What a program sends the token in. */
export const TOKEN_HEADER = "sluice-inspector-token";

/** Sent with everything. Scripts, styles and requests are our own, and nothing else is loaded or may frame us. */
export const guards: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

/** Why somebody may not enter. */
export interface Refusal {
  readonly status: 401 | 403 | 421;
  readonly says: string;
}

export class Door {
  readonly token: string;
  readonly #digest: Buffer;
  #port = 0;

  constructor(token = randomBytes(16).toString("base64url")) {
    this.token = token;
    this.#digest = digest(token);
  }

  /** Where it listens, once that is known. */
  set port(port: number) {
    this.#port = port;
  }

  /** Cookies are for all ports of a host: those of two inspectors must not be the same. */
  get #cookie(): string {
    return `sluice-inspector-${this.#port}`;
  }

  /** What a browser keeps that came with the token. */
  get cookie(): string {
    return `${this.#cookie}=${this.token}; Path=/; HttpOnly; SameSite=Strict`;
  }

  /** Whether `token` is right. Takes the same time however much of it is. */
  knows(token: string): boolean {
    return timingSafeEqual(digest(token), this.#digest);
  }

  /** Why a request may not come from where it comes from, whoever sends it; undefined when it may. */
  misplaced({ headers, method }: IncomingMessage): Refusal | undefined {
    const hosts = [`127.0.0.1:${this.#port}`, `localhost:${this.#port}`];
    // A browser leaves the port of http out.
    if (this.#port === 80) hosts.push("127.0.0.1", "localhost");
    if (!hosts.includes(headers.host ?? "")) {
      return { status: 421, says: `The inspector is at ${hosts[0]}, and at no other name.` };
    }
    const { origin } = headers;
    if (origin !== undefined && origin !== `http://${headers.host}`) {
      return { status: 403, says: "Other pages may not use the inspector." };
    }
    const site = headers["sec-fetch-site"];
    const navigates = method === "GET" && headers["sec-fetch-mode"] === "navigate";
    if (site !== undefined && site !== "same-origin" && site !== "none" && !navigates) {
      return { status: 403, says: "Other pages may not use the inspector." };
    }
    return undefined;
  }

  /** Whether a request comes with the token, in the cookie or in the header. */
  admits({ headers }: IncomingMessage): boolean {
    const given = headers[TOKEN_HEADER];
    if (typeof given === "string") return this.knows(given);
    for (const part of (headers.cookie ?? "").split(";")) {
      const equals = part.indexOf("=");
      // Another port's server may have set one of this name too.
      if (part.slice(0, equals).trim() === this.#cookie) {
        if (this.knows(part.slice(equals + 1).trim())) return true;
      }
    }
    return false;
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
