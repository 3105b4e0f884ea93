/** Values as they were given: texts, and where each came from. */

/** One value as it was given: the text, and what to call it in a complaint (`--port`, or `AGENT_PORT`). */
export interface Given {
  readonly text: string;
  readonly from: string;
  /** Whether it came from the command line: then it wins over the environment. */
  readonly flag: boolean;
  /** Whether it came from a configuration file: then everything else wins over it. */
  readonly file?: true;
}

/** Everything that was given, by the camel-case name of its flag. */
export type GivenValues = Readonly<Partial<Record<string, Given>>>;

/** Whether a flag without a value is given; a variable can also say that it is not. */
export function isOn(given: Given | undefined): boolean {
  return given !== undefined && !/^(?:0|false|no|off)$/i.test(given.text);
}
