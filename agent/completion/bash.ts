/** Completion for bash, 3.2 (macOS) and later, without the package bash-completion. */
import type { Place, Values } from "./words.ts";

/** @param name what the program is called */
export function bashCompletion(name: string, places: readonly Place[]): string {
  return `# bash completion for ${name}; \`${name} completion bash\` made it.
_${name}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" place="" each i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    each="\${COMP_WORDS[i]}"
    # Behind -- another program's words begin. Nothing said is file names: see below.
    [[ $each == -- ]] && return
    case "$place $each" in
${places
  .filter(({ path }) => path.length > 0)
  .map(
    ({ path }) =>
      `      ${quoted(`${spaced(path.slice(0, -1))} ${path.at(-1) ?? ""}`)}) place=${quoted(spaced(path))} ;;`,
  )
  .join("\n")}
    esac
  done
  # --flag=value is three words to bash.
  if [[ $word == "=" ]]; then word=""; elif [[ $before == "=" ]]; then before="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  case "$place $before" in
${places.flatMap(valueCases).join("\n")}
  esac
  case "$place" in
${places.map(placeCase).join("\n")}
  esac
}
# Where we say nothing bash offers file names itself: it quotes what a shell would act on, which compgen does not.
complete -o default -F _${name} ${name}
`;
}

/** Where the path begins with a space, so that no path is a part of another's text. */
function spaced(path: readonly string[]): string {
  return path.map((each) => ` ${each}`).join("");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function valueCases({ path, flags }: Place): string[] {
  return flags
    .filter(({ values }) => values.are !== "nothing")
    .map(({ names, values }) => {
      const patterns = names.map((name) => quoted(`${spaced(path)} ${name}`)).join("|");
      return `    ${patterns}) ${reply(values)}; return ;;`;
    });
}

function placeCase({ path, flags, commands, operands }: Place): string {
  const words = [
    ...commands.map(({ name }) => name),
    ...(operands.are === "words" ? operands.words : []),
  ];
  const names = flags.flatMap((flag) => flag.names.filter((each) => each.startsWith("--")));
  return `    ${quoted(spaced(path))})
      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W ${quoted(names.join(" "))} -- "$word"))
      else COMPREPLY=($(compgen -W ${quoted(words.join(" "))} -- "$word")); fi ;;`;
}

function reply(values: Values): string {
  switch (values.are) {
    case "words":
      return `COMPREPLY=($(compgen -W ${quoted(values.words.join(" "))} -- "$word"))`;
    case "files":
      return ":";
    case "directories":
      return "compopt -o dirnames 2>/dev/null";
    default:
      return "compopt +o default 2>/dev/null";
  }
}
