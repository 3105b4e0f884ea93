/** Who wants to know what happens. A listener that throws fails by itself: it ends neither the tunnel nor the others. */
import type { TunnelEvent } from "../events.ts";

/** The events by their names. */
export type EventOf<Name extends TunnelEvent["event"]> = Extract<
  TunnelEvent,
  { readonly event: Name }
>;

export class Listeners {
  readonly #all = new Set<(event: TunnelEvent) => void>();

  add(listener: (event: TunnelEvent) => void): void {
    this.#all.add(listener);
  }

  /** Calls `listener` for events of one name. Returns what ends that. */
  on<Name extends TunnelEvent["event"]>(
    name: Name,
    listener: (event: EventOf<Name>) => void,
  ): () => void {
    const each = (event: TunnelEvent): void => {
      if (event.event === name) listener(event as EventOf<Name>);
    };
    this.#all.add(each);
    return () => this.#all.delete(each);
  }

  tell(event: TunnelEvent): void {
    for (const listener of this.#all) {
      try {
        listener(event);
      } catch (error) {
        // As an EventTarget does: it is an uncaught exception, and not one of ours.
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }
}
