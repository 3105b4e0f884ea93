/** What was given to a command: every value with where it came from, as `config.ts` wants it. */
import type { Command } from "commander";
import type { Given, GivenValues } from "../config/given.ts";

/** An empty environment variable is as good as none. */
export function givenOf(command: Command): GivenValues {
  const given: Record<string, Given> = {};
  for (const each of command.options) {
    const name = each.attributeName();
    const value: unknown = command.getOptionValue(name);
    const source = command.getOptionValueSource(name);
    if (source === "cli") {
      // One of two that say yes and no to the same.
      if (typeof value === "boolean" && each.negate === value) continue;
      given[name] = { text: String(value), from: each.long ?? name, flag: true };
    } else if (source === "env" && each.envVar !== undefined) {
      // For a flag without a value commander only knows that the variable is there.
      const text = process.env[each.envVar] ?? "";
      if (text !== "") given[name] = { text, from: each.envVar, flag: false };
    }
  }
  return given;
}
