/** Who tells people, or the programs that read logs for them, what happens. */
import type { AgentEvent } from "../events.ts";
import type { Watch } from "../watch.ts";
import type { Level } from "./levels.ts";

/** What something is said about. */
export interface About {
  /** Undefined when it is about no one service. */
  readonly service: string | undefined;
  /** What a line for a person begins with; "" where only one service runs. */
  readonly label: string;
}

export interface Voice {
  /** The first line of a command that goes on. */
  header(text: string): void;
  event(event: AgentEvent, about: About): void;
  /** What happens, whether it is told or not, if it is counted. */
  sees?(event: AgentEvent): void;
  /** A sentence. */
  say(text: string, level: Level, about: About): void;
  /** Text that goes out as it is, as an example to copy. */
  block(text: string): void;
  /** A labelled line, as in a status block. */
  field(label: string, value: string, about: About): void;
  /** What is being done right now: where there is a screen it stays until something comes of it. */
  live(text: string, about: About): void;
  /** Sees the exchanges of a service pass, if there is something to show while they last. */
  watch?(about: About): Watch;
}
