/**
 * The server behind the tunnel: replays one exchange on it, both bodies streaming.
 *
 * The target is sent exactly as it was received: no URL is ever built by joining strings.
 */
import type { Agent as HttpAgent } from "node:http";
import type { Pool } from "undici";
import type { Exchange } from "../codec/exchange.ts";
import { Answer } from "./answer.ts";
import type { OriginAddress } from "./config.ts";
import { createAgent, sendStreaming } from "./streaming.ts";
import { sendUpgrade } from "./upgrade.ts";
import { createPool, isWhole, sendWhole } from "./whole.ts";

export interface OriginOptions {
  readonly address: OriginAddress;
  /** The most exchanges that are replayed at once. */
  readonly concurrency: number;
  /** The `Host` to send; the address's own when undefined. */
  readonly hostHeader: string | undefined;
  /** See `ConnectConfig.originTimeoutMs`. */
  readonly timeoutMs: number;
}

export class Origin {
  readonly #options: OriginOptions;
  readonly #host: string;
  readonly #pool: Pool;
  readonly #agent: HttpAgent;

  constructor(options: OriginOptions) {
    this.#options = options;
    this.#host = options.hostHeader ?? options.address.url.host;
    this.#pool = createPool(options.address, options.concurrency);
    this.#agent = createAgent(options.address);
  }

  /** Starts one exchange. Call `cancel` of what it returns when nobody waits for the answer any more. */
  replay(exchange: Exchange): Answer {
    const answer = new Answer(exchange, this.#options.timeoutMs);
    if (exchange.request.length === "socket") {
      sendUpgrade(this.#options.address, exchange, this.#host, answer);
    } else if (isWhole(exchange)) sendWhole(this.#pool, exchange, this.#host, answer);
    else sendStreaming(this.#agent, this.#options.address, exchange, this.#host, answer);
    return answer;
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    this.#agent.destroy();
    await this.#pool.destroy();
  }
}
