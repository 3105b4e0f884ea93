/** Every page that is generated, or has a generated part, and what it is to be. */
import { commandsPage } from "./commands.ts";
import { errorsPage } from "./errors.ts";
import { withPart } from "./generated.ts";
import { limitsTables } from "./limits.ts";

/** @param read the text of a file of the repository */
export function* pages(
  read: (path: string) => string,
): Generator<readonly [path: string, text: string]> {
  yield ["docs/errors.md", errorsPage()];
  yield ["docs/commands.md", commandsPage()];
  const limits = "docs/limits-and-cost.md";
  yield [limits, withPart(read(limits), "limits", limitsTables())];
}
