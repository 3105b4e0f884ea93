/**
 * Mistakes put into the kernel on purpose, to see that the simulation finds them: each patches a prototype, and the
 * product has no code for any.
 */
import { OutgoingBody } from "../../codec/body.ts";
import { ReceiveCredit } from "../../codec/credit.ts";
import type { Frame } from "../../codec/frame.ts";
import { Link } from "../../codec/link.ts";
import { Mux } from "../../codec/mux.ts";

/** Puts a mistake in; returns what takes it out. */
type Plant = () => () => void;

/** Replaces a method for a while. */
function patch<T extends object, K extends keyof T>(prototype: T, name: K, make: (original: T[K]) => T[K]): () => void {
  const original = prototype[name];
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

const mistakes = {
  /** What a cancelled body has buffered is never given back. */
  creditLeakOnCancel: () =>
    patch(ReceiveCredit.prototype, "discard", () => function (this: ReceiveCredit) {
      this.close();
    }),

  /** HELLO claims a message that has not arrived. */
  ackOffByOne: () => {
    const { get } = Object.getOwnPropertyDescriptor(Link.prototype, "received") ?? {};
    if (get === undefined) throw new Error("the link counts no more");
    Object.defineProperty(Link.prototype, "received", {
      configurable: true,
      get(this: Link) {
        const received = get.call(this) as number;
        return received > 0 ? received + 1 : 0;
      },
    });
    return () => Object.defineProperty(Link.prototype, "received", { configurable: true, get });
  },

  /** What is sent again begins with a message that was acknowledged. */
  resentTooMuch: () => {
    const kept = new WeakMap<Link, Uint8Array[]>();
    const undo = [
      patch(Link.prototype, "keep", (keep) => function (this: Link, message) {
        kept.set(this, [...(kept.get(this) ?? []), message.slice()].slice(-20));
        keep.call(this, message);
      }),
      patch(Link.prototype, "unacknowledged", (unacknowledged) => function* (this: Link) {
        const messages = [...unacknowledged.call(this)];
        const before = (kept.get(this) ?? []).at(-1 - messages.length);
        if (before !== undefined) yield before;
        yield* messages;
      }),
    ];
    return () => undo.forEach((one) => one());
  },

  /** After its GOAWAY an agent accepts new streams. */
  acceptedAfterGoaway: () => {
    const due = new WeakMap<object, Frame>();
    const said = new WeakSet<object>();
    const undo = [
      patch(Mux.prototype, "drain", () => function (this: Mux<unknown>, code, note) {
        if (!said.has(this)) due.set(this, { kind: "goaway", last: 0, code, note });
        said.add(this);
      }),
      patch(Mux.prototype, "poll", (poll) => function (this: Mux<unknown>) {
        const goaway = due.get(this);
        due.delete(this);
        return goaway ?? poll.call(this);
      }),
    ];
    return () => undo.forEach((one) => one());
  },

  /** A writer that waits for the queue to empty is not told when it has. */
  lostWakeUp: () =>
    patch(OutgoingBody.prototype, "notify", (notify) => function (this: OutgoingBody) {
      if (this.queuedBytes > 0) notify.call(this);
    }),

  /** A cancelled stream gives its window back twice. */
  doubleRelease: () =>
    patch(Mux.prototype, "cancel", (cancel) => function (this: Mux<unknown>, stream, code, note) {
      const { windowBytes } = stream.inbox.credit;
      cancel.call(this, stream, code, note);
      this.budget.release(windowBytes);
    }),
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
