/**
 * Those who see exchanges pass: the terminal's live lines, the metrics, the inspector.
 *
 * They change nothing and hold nothing up: what they are told has happened already. Without anybody who looks an
 * exchange costs one test for `undefined`.
 */
import type { Exchange } from "../codec/exchange.ts";
import type { HeaderList, ResponseHead } from "../codec/frame.ts";
import type { Outcome } from "./origin/answer.ts";

/** What happens to one exchange, in this order, as far as it happens. */
export interface ExchangeWatch {
  /** It has a slot at the origin; before, it waited for one. */
  started?(): void;
  /** A connection to the origin is there, and the request is about to be written. Again when it is tried again. */
  connected?(): void;
  /** Bytes of the request's body go to the origin. They are only lent: copy what is to be kept. */
  received?(bytes: Uint8Array): void;
  /** The head of the answer, as it goes into the tunnel. */
  answered?(head: ResponseHead): void;
  /** Bytes of the answer's body go into the tunnel. They are only lent: copy what is to be kept. */
  sent?(bytes: Uint8Array): void;
  /** The origin is paused: the visitor reads slower than it answers, and has given no more credit. */
  stalled?(): void;
  /** There is credit again, and the origin goes on. */
  resumed?(): void;
  /** The answer's trailer fields, if there are any. */
  trailers?(fields: HeaderList): void;
  /** It is over. The last call. */
  ended(outcome: Outcome): void;
}

/** Somebody who looks. */
export interface Watch {
  /** An exchange was opened. Undefined: this one is of no interest. */
  opened(exchange: Exchange): ExchangeWatch | undefined;
}

/** Several who look, as one; they may come and go, and see what begins while they are there. */
export class Watchers implements Watch {
  readonly #all = new Set<Watch>();

  add(watch: Watch): void {
    this.#all.add(watch);
  }

  remove(watch: Watch): void {
    this.#all.delete(watch);
  }

  opened(exchange: Exchange): ExchangeWatch | undefined {
    let first: ExchangeWatch | undefined;
    let more: ExchangeWatch[] | undefined;
    for (const watch of this.#all) {
      const each = watch.opened(exchange);
      if (each === undefined) continue;
      if (first === undefined) first = each;
      else (more ??= [first]).push(each);
    }
    return more === undefined ? first : new Together(more);
  }
}

/** What one is told, all are told. */
class Together implements ExchangeWatch {
  readonly #all: readonly ExchangeWatch[];

  constructor(all: readonly ExchangeWatch[]) {
    this.#all = all;
  }

  started(): void {
    for (const each of this.#all) each.started?.();
  }

  connected(): void {
    for (const each of this.#all) each.connected?.();
  }

  received(bytes: Uint8Array): void {
    for (const each of this.#all) each.received?.(bytes);
  }

  answered(head: ResponseHead): void {
    for (const each of this.#all) each.answered?.(head);
  }

  sent(bytes: Uint8Array): void {
    for (const each of this.#all) each.sent?.(bytes);
  }

  stalled(): void {
    for (const each of this.#all) each.stalled?.();
  }

  resumed(): void {
    for (const each of this.#all) each.resumed?.();
  }

  trailers(fields: HeaderList): void {
    for (const each of this.#all) each.trailers?.(fields);
  }

  ended(outcome: Outcome): void {
    for (const each of this.#all) each.ended(outcome);
  }
}
