/** Completion for fish, 3.0 and later. */
import type { Flag, Place } from "./words.ts";

/** @param name what the program is called */
export function fishCompletion(name: string, places: readonly Place[]): string {
  const lines = [
    `# fish completion for ${name}; \`${name} completion fish\` made it.`,
    // Whether the commands so far are exactly these; behind -- another program's words begin.
    `function __${name}_at
    set -l all (commandline -opc)
    contains -- -- $all; and return 1
    set -l path
    for each in $all[2..-1]
        contains -- $each (__${name}_below $path); and set -a path $each
    end
    test "$path" = "$argv"
end`,
    `function __${name}_below
    switch "$argv"
${places.map(({ path, commands }) => `        case ${quoted(path.join(" "))}\n            printf '%s\\n' ${commands.map((each) => each.name).join(" ") || "''"}`).join("\n")}
    end
end`,
    `complete -c ${name} -n 'not contains -- -- (commandline -opc)' -f`,
  ];
  for (const { path, flags, commands, operands } of places) {
    const at = `complete -c ${name} -n ${quoted(`__${name}_at ${path.join(" ")}`.trim())}`;
    for (const each of commands) lines.push(`${at} -a ${each.name} -d ${quoted(each.description)}`);
    if (operands.are === "words") lines.push(`${at} -a ${quoted(operands.words.join(" "))}`);
    for (const flag of flags) lines.push(`${at} ${flagOf(flag)}`);
  }
  return `${lines.join("\n")}\n`;
}

function flagOf({ names, description, values }: Flag): string {
  const given = names.map((each) =>
    each.startsWith("--") ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`,
  );
  const parts = [...given, `-d ${quoted(description)}`];
  switch (values.are) {
    case "nothing":
      break;
    case "words":
      parts.push(`-x -a ${quoted(values.words.join(" "))}`);
      break;
    case "files":
      parts.push("-r -F");
      break;
    case "directories":
      parts.push(`-x -a '(__fish_complete_directories)'`);
      break;
    case "anything":
      parts.push("-x");
  }
  return parts.join(" ");
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, (character) => `\\${character}`)}'`;
}
