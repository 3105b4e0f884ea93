/**
 * Whose word for an edge's certificate is taken: one file's authorities, or those of Node, of `NODE_EXTRA_CA_CERTS` and of
 * the operating system, where a company puts its own.
 */
import { connect, createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { TLSSocket } from "node:tls";
import { isIP, type Socket } from "node:net";
import { Unreachable } from "./unreachable.ts";

/** Those faults that another authority could heal. */
const untrusted: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

const others = new Map([
  ["CERT_HAS_EXPIRED", "has expired"],
  ["CERT_NOT_YET_VALID", "is not valid yet (is this machine's clock right?)"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "is for another name"],
]);

/** The end of a TLS handshake that led to no trust. */
class Untrusted extends Unreachable {}

export class Trust {
  readonly #ca: string | undefined;
  #context: SecureContext;
  #asksSystem = false;

  /** @param ca PEM certificates that are trusted, and no others */
  constructor(ca: string | undefined) {
    this.#ca = ca;
    this.#context = createSecureContext(ca === undefined ? {} : { ca });
  }

  /**
   * TLS to `host` over a socket that `open` opens, anew when the system's authorities have to be asked: to read them takes
   * a while, and few need them.
   * @throws Unreachable
   */
  async secure(
    open: () => Promise<Socket>,
    host: string,
    deadline: AbortSignal,
  ): Promise<TLSSocket> {
    try {
      return await handshake(await open(), host, this.#context, deadline);
    } catch (error) {
      if (!(error instanceof Untrusted) || this.#ca !== undefined || this.#asksSystem) throw error;
      this.#asksSystem = true;
      const ca = new Set([...getCACertificates("default"), ...getCACertificates("system")]);
      this.#context = createSecureContext({ ca: [...ca] });
      return handshake(await open(), host, this.#context, deadline);
    }
  }
}

async function handshake(
  socket: Socket,
  host: string,
  secureContext: SecureContext,
  deadline: AbortSignal,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  // Whether the certificate is good is looked at below, before anything is sent: a socket that Node itself refuses no longer
  // knows who issued it.
  const secured = connect({
    socket,
    host,
    servername: isIP(host) === 0 ? host : "",
    secureContext,
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: false,
  });
  const late = (): void => {
    secured.destroy();
    reject(new Unreachable(`${host} did not answer the TLS handshake in time`));
  };
  const failed = (error: Error): void => {
    reject(new Unreachable(`${host} does not speak TLS with us: ${error.message.trim()}`));
  };
  const closed = (): void => {
    reject(new Unreachable(`${host} closed the connection during the TLS handshake`));
  };
  deadline.addEventListener("abort", late);
  secured.once("error", failed);
  secured.once("close", closed);
  secured.once("secureConnect", () => {
    if (secured.authorized) {
      resolve(secured);
      return;
    }
    reject(complaint(secured, host));
    secured.destroy();
  });
  try {
    return await promise;
  } finally {
    deadline.removeEventListener("abort", late);
    secured.off("error", failed);
    secured.off("close", closed);
    // What comes later is for whoever has the socket then; a destroyed one has nobody.
    if (secured.destroyed) secured.on("error", () => {});
  }
}

function complaint(secured: TLSSocket, host: string): Unreachable {
  const code = String(secured.authorizationError);
  const { issuer } = secured.getPeerCertificate() as {
    readonly issuer?: { readonly CN?: string; readonly O?: string };
  };
  const name = JSON.stringify(issuer?.CN ?? issuer?.O ?? "nobody");
  const by = `the certificate that answers for ${host} was issued by ${name}`;
  if (untrusted.has(code)) {
    return new Untrusted(
      `${by}, which is not trusted here (${code}); if that is the authority of your company or of your edge, give its certificate with --ca <PEM file> or NODE_EXTRA_CA_CERTS`,
    );
  }
  return new Unreachable(`${by} and ${others.get(code) ?? "is not valid"} (${code})`);
}
