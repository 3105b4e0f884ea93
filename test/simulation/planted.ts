/**
 * Mistakes put into the kernel on purpose, to see that the simulation finds them: each patches a prototype, and the
 * product has no code for any.
 */
import { IncomingBody, OutgoingBody } from "../../codec/body.ts";
import { ReceiveCredit } from "../../codec/credit.ts";
import type { Frame } from "../../codec/frame.ts";
import { Link } from "../../codec/link.ts";
import { Messenger } from "../../codec/messenger.ts";
import { Mux } from "../../codec/mux.ts";

/** Puts a mistake in; returns what takes it out. */
type Plant = () => () => void;

/** Replaces a method for a while. */
function patch<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = prototype[name];
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

/** Replaces a getter for a while. */
function patchGetter<T extends object, K extends keyof T & string>(
  prototype: T,
  name: K,
  make: (original: (this: T) => T[K]) => (this: T) => T[K],
): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name);
  if (original === undefined) throw new Error(`there is no getter ${name} to put a mistake into`);
  const get = make(function (this: T) {
    return original.get?.call(this) as T[K];
  });
  Object.defineProperty(prototype, name, { configurable: true, get });
  return () => Object.defineProperty(prototype, name, original);
}

const mistakes = {
  /** What a cancelled body has buffered is never given back. */
  creditLeakOnCancel: () =>
    patch(
      ReceiveCredit.prototype,
      "discard",
      () =>
        function (this: ReceiveCredit) {
          this.close();
        },
    ),

  /** HELLO claims a message that has not arrived. */
  ackOffByOne: () =>
    patchGetter(
      Link.prototype,
      "received",
      (received) =>
        function (this: Link) {
          return received.call(this) > 0 ? received.call(this) + 1 : 0;
        },
    ),

  /** What is sent again begins with a message that was acknowledged. */
  resentTooMuch: () => {
    const kept = new WeakMap<Link, Uint8Array[]>();
    const undo = [
      patch(
        Link.prototype,
        "keep",
        (keep) =>
          function (this: Link, message, owed) {
            kept.set(this, [...(kept.get(this) ?? []), message.slice()].slice(-20));
            keep.call(this, message, owed);
          },
      ),
      patch(
        Link.prototype,
        "unacknowledged",
        (unacknowledged) =>
          function* (this: Link) {
            const messages = [...unacknowledged.call(this)];
            const before = (kept.get(this) ?? []).at(-1 - messages.length);
            if (before !== undefined) yield before;
            yield* messages;
          },
      ),
    ];
    return () => undo.forEach((one) => one());
  },

  /** After its GOAWAY an agent accepts new streams. */
  acceptedAfterGoaway: () => {
    const due = new WeakMap<object, Frame>();
    const said = new WeakSet<object>();
    const undo = [
      patch(
        Mux.prototype,
        "drain",
        () =>
          function (this: Mux<unknown>, code, note) {
            if (!said.has(this)) due.set(this, { kind: "goaway", last: 0, code, note });
            said.add(this);
          },
      ),
      patch(
        Mux.prototype,
        "poll",
        (poll) =>
          function (this: Mux<unknown>) {
            const goaway = due.get(this);
            due.delete(this);
            return goaway ?? poll.call(this);
          },
      ),
    ];
    return () => undo.forEach((one) => one());
  },

  /** A writer that waits for the queue to empty is not told when it has. */
  lostWakeUp: () =>
    patch(
      OutgoingBody.prototype,
      "notify",
      (notify) =>
        function (this: OutgoingBody) {
          if (this.queuedBytes > 0) notify.call(this);
        },
    ),

  /** A cancelled stream gives its window back twice. */
  doubleRelease: () =>
    patch(
      Mux.prototype,
      "cancel",
      (cancel) =>
        function (this: Mux<unknown>, stream, code, note) {
          const { windowBytes } = stream.inbox.credit;
          cancel.call(this, stream, code, note);
          this.budget.release(windowBytes);
        },
    ),

  /** On a new socket nothing is sent again. */
  nothingResent: () => patch(Link.prototype, "unacknowledged", () => () => []),

  /** Every request that was lost is taken for one that never left. */
  alwaysUnheard: () => patch(Mux.prototype, "unheard", () => () => true),

  /** What a session has retained stays counted after its end. */
  retainedForever: () => patch(Link.prototype, "clear", () => () => {}),

  /** Credit is given twice. */
  creditTwice: () =>
    patch(
      ReceiveCredit.prototype,
      "consume",
      (consume) =>
        function (this: ReceiveCredit, ...args) {
          return 2 * consume.apply(this, args);
        },
    ),

  /** A body that was cut ends as if it were complete. */
  cleanEndAfterLoss: () => {
    const cut = new WeakSet<IncomingBody>();
    const undo = [
      patch(
        IncomingBody.prototype,
        "drop",
        () =>
          function (this: IncomingBody) {
            cut.add(this);
            this.notify();
          },
      ),
      patchGetter(
        IncomingBody.prototype,
        "ended",
        (ended) =>
          function (this: IncomingBody) {
            return cut.has(this) || ended.call(this);
          },
      ),
    ];
    return () => undo.forEach((one) => one());
  },

  /** A lone ACK counts as a message. */
  ackCounted: () =>
    patch(
      Messenger.prototype,
      "worked",
      (worked) =>
        function (this: Messenger, frames, bytes) {
          worked.call(this, frames.length === 1 ? [...frames, ...frames] : frames, bytes);
        },
    ),
} satisfies Record<string, Plant>;

export type PlantName = keyof typeof mistakes;

export const plants = Object.keys(mistakes) as PlantName[];

export function isPlant(name: string): name is PlantName {
  return Object.hasOwn(mistakes, name);
}

/** Puts a mistake into the kernel of this process; returns what takes it out. */
export function plant(name: PlantName): () => void {
  return mistakes[name]();
}
