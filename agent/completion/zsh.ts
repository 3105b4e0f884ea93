/** Completion for zsh: to be sourced after `compinit`, or a file `_agent` in `$fpath`. */
import type { Flag, Place, Values } from "./words.ts";

/** @param name what the program is called */
export function zshCompletion(name: string, places: readonly Place[]): string {
  return `#compdef ${name}
# zsh completion for ${name}; \`${name} completion zsh\` made it.
${places.map((place) => placeFunction(name, place)).join("\n")}
if [[ $funcstack[1] == _${name} ]]; then _${name} "$@"; else compdef _${name} ${name}; fi
`;
}

function functionOf(name: string, path: readonly string[]): string {
  return ["", name, ...path].join("_").replaceAll("-", "_");
}

function placeFunction(name: string, { path, flags, commands, operands }: Place): string {
  const specs = flags.map(specOf);
  if (operands.are === "words")
    specs.push(`'1:${operands.words.join(" or ")}:(${operands.words.join(" ")})'`);
  const begin = `${functionOf(name, path)}() {`;
  if (commands.length === 0) {
    // Behind -- another program's words begin.
    return `${begin}
  if (( \${words[(I)--]} > 0 && \${words[(I)--]} < CURRENT )); then _files; return; fi
  _arguments -s ${[...specs].join(" \\\n    ")}
}`;
  }
  const descriptions = commands
    .map((each) => `      ${quoted(`${each.name}:${each.description.replaceAll(":", "\\:")}`)}`)
    .join("\n");
  const cases = commands
    .map((each) => `        ${each.name}) ${functionOf(name, [...path, each.name])} ;;`)
    .join("\n");
  return `${begin}
  local state line
  _arguments -C -s ${[...specs, "'1: :->command'", "'*:: :->rest'"].join(" \\\n    ")}
  case $state in
    command)
      local -a commands=(
${descriptions}
      )
      _describe command commands ;;
    rest)
      case $line[1] in
${cases}
      esac ;;
  esac
}`;
}

function specOf({ names, description, values }: Flag): string {
  const text = description.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`);
  const value = valueOf(values);
  const all =
    names.length > 1 ? `'(${names.join(" ")})'{${names.join(",")}}` : `'${names[0] ?? ""}'`;
  return `${all}${quoted(`[${text}]${value}`)}`;
}

function valueOf(values: Values): string {
  switch (values.are) {
    case "nothing":
      return "";
    case "words":
      return `: :(${values.words.join(" ")})`;
    case "files":
      return ": :_files";
    case "directories":
      return ": :_files -/";
    case "anything":
      return ": : ";
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
