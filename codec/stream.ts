/**
 * One stream: the half that arrives and the half that leaves. It has no state of its own beyond theirs.
 */
import type { RequestHead } from "./frame.ts";
import { isOver } from "./half.ts";
import type { Inbox } from "./inbox.ts";
import type { Outbox } from "./outbox.ts";
import type { Ready } from "./turns.ts";

export class Stream<Owner> implements Ready {
  readonly id: number;
  readonly request: RequestHead;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  /** Whoever speaks for this stream above the mux, which only carries it. */
  owner: Owner | undefined;
  /** Whether it is in line for a turn: see `turns.ts`. */
  scheduled = false;
  /** Whether we opened it and its answer has not begun. */
  unanswered = false;
  /** Whether a CREDIT frame for it is on the mux's list. */
  creditListed = false;

  constructor(id: number, request: RequestHead, inbox: Inbox, outbox: Outbox) {
    this.id = id;
    this.request = request;
    this.inbox = inbox;
    this.outbox = outbox;
  }

  get sendable(): boolean {
    return this.outbox.sendable;
  }

  /** Whether both halves are over: nothing will be sent or accepted for it any more. */
  get over(): boolean {
    return isOver(this.inbox.state) && isOver(this.outbox.state);
  }
}
