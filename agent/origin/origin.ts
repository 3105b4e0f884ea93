/**
 * The server behind the tunnel: replays one exchange on it, both bodies streaming.
 *
 * The target is sent exactly as it was received, below the base path if there is one: no URL is ever parsed.
 */
import type { Agent as HttpAgent } from "node:http";
import type { Pool } from "undici";
import type { Exchange } from "../../codec/exchange.ts";
import type { HeaderList } from "../../codec/frame.ts";
import { Answer, type Retry } from "./answer.ts";
import { withBase } from "./base-path.ts";
import type { Call } from "./call.ts";
import type { OriginAddress } from "../config/config.ts";
import { type ClientError, hasOtherProtocols, isAbsent } from "./fault.ts";
import { isNameRefused, isOwnPageRefused } from "./host-check.ts";
import { Http2 } from "./http2.ts";
import { lastValue, type Place, prefixOf, relocated } from "./location.ts";
import { lastWordsOf } from "./origin-socket.ts";
import type { OriginTls } from "./origin-tls.ts";
import { Patience } from "./patience.ts";
import { createAgent, sendStreaming } from "./streaming.ts";
import type { ExchangeWatch } from "../watch.ts";
import { sendUpgrade } from "./upgrade.ts";
import { createPool, isWhole, sendWhole, wholeBody } from "./whole.ts";

export interface OriginOptions {
  readonly address: OriginAddress;
  /** What is put before every target; "" for nothing. See `isBasePath`. */
  readonly basePath: string;
  /** The most exchanges that are replayed at once. */
  readonly concurrency: number;
  /** The `Host` to send; the address's own when undefined. */
  readonly hostHeader: string | undefined;
  /** Whether redirects are made to stay in the tunnel. */
  readonly rewriteLocation: boolean;
  /** Whether the origin learns by which name it is visited. */
  readonly publicName: boolean;
  /** Told when the origin turned somebody away for that name, each time. */
  readonly nameRefused?: () => void;
  readonly tls: OriginTls;
  /** See `ConnectConfig.originTimeoutMs`. */
  readonly timeoutMs: number;
}

/** RFC 9110 section 9.2.1: the origin may get them twice. */
const safeMethods = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

export class Origin {
  readonly #options: OriginOptions;
  readonly #host: string;
  readonly #pool: Pool;
  readonly #agent: HttpAgent;
  readonly #patience = new Patience();
  /** Set when the origin speaks nothing else. */
  #http2: Http2 | undefined;

  constructor(options: OriginOptions) {
    const { address, tls, concurrency } = options;
    this.#options = options;
    this.#host = options.hostHeader ?? address.url.host;
    this.#pool = createPool(address, tls, concurrency);
    this.#agent = createAgent(address, tls);
    if (address.http2) this.#http2 = new Http2(address, tls, concurrency);
  }

  /**
   * Starts one exchange. Call `cancel` of what it returns when nobody waits for the answer any more.
   * @param own fields that the origin gets beside the visitor's
   */
  replay(exchange: Exchange, watch?: ExchangeWatch, own: HeaderList = []): Answer {
    const { basePath, rewriteLocation, publicName, timeoutMs } = this.#options;
    const nameRefused = publicName ? this.#options.nameRefused : undefined;
    const { request } = exchange;
    const path = withBase(basePath, request.path);
    const whole = isWhole(exchange);
    const body = whole ? wholeBody(exchange) : undefined;
    let negotiated = false;
    const again = (error: ClientError): Retry | undefined => {
      if (answer.connected) {
        // The connection had been idle, and was closed by the origin while the request was on its way to it.
        const stale = lastWordsOf(error);
        const safe = request.length === "none" && safeMethods.has(request.method);
        if (!safe || stale?.reused !== true || !stale.silent) return undefined;
        // Not by the pool: its other connections may have ended in the same way. A new one that fails is not tried again.
        return { delayMs: 0, send: () => sendStreaming(false, this.#options.address, call) };
      }
      if (hasOtherProtocols(error)) {
        const { address, tls, concurrency } = this.#options;
        if (request.length === "socket" || negotiated) return undefined;
        negotiated = true;
        this.#http2 ??= new Http2(address, tls, concurrency);
        return { delayMs: 0, send };
      }
      const delayMs = isAbsent(error) ? this.#patience.refused(performance.now()) : undefined;
      return delayMs === undefined ? undefined : { delayMs, send };
    };
    const answer = new Answer(exchange, {
      timeoutMs,
      rewrite: (fields) =>
        rewriteLocation ? relocated(fields, () => this.#place(exchange)) : fields,
      again,
      forbidden: (beginning) => {
        if (isNameRefused(beginning)) nameRefused?.();
      },
      watch,
    });
    if (nameRefused !== undefined && request.length === "socket") {
      void answer.done.then((outcome) => {
        if (isOwnPageRefused(request, outcome)) nameRefused();
      });
    }
    const host = this.#host;
    const call: Call = { exchange, path: path ?? "", host, own, publicName, answer };
    const send = (): void => this.#send(call, whole, body);
    if (path === undefined) {
      answer.fail("bad-request", `the target leads out of ${basePath}`);
      answer.closed();
    } else send();
    return answer;
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    this.#agent.destroy();
    this.#http2?.close();
    await this.#pool.destroy();
  }

  #send(call: Call, whole: boolean, body: Buffer | undefined): void {
    const { address, tls } = this.#options;
    if (call.exchange.request.length === "socket") {
      if (address.http2) {
        call.answer.fail("origin-invalid", "WebSockets need an origin that speaks HTTP/1.1");
        call.answer.closed();
      } else sendUpgrade(address, tls, call);
    } else if (this.#http2 !== undefined) this.#http2.send(call, body);
    else if (whole) sendWhole(this.#pool, call, body);
    else sendStreaming(this.#agent, address, call);
  }

  #place({ request }: Exchange): Place {
    const { address, basePath } = this.#options;
    return {
      prefix: prefixOf(lastValue(request.headers, "x-forwarded-prefix")),
      basePath,
      origin: [address.url.host, this.#host],
      visited: lastValue(request.headers, "x-forwarded-host"),
    };
  }
}
