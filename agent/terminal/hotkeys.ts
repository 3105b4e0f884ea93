/** What a key does while `agent connect`, `agent edge` or `npm start` runs. Nobody has to press any. */
import type { Given } from "../config/given.ts";
import { openInBrowser } from "./browser.ts";
import { interrupt, Keys } from "./keys.ts";
import type { LiveVoice } from "./live.ts";
import type { Log } from "./log.ts";
import { inCi } from "./open-log.ts";
import { showQrCode } from "./show-qr.ts";
import type { Line } from "./text.ts";

export interface HotkeysOptions {
  readonly log: Log;
  readonly live: LiveVoice;
  /** Dials again at once; undefined where nothing is dialled. */
  readonly redial?: () => void;
  /** Where the token or the secret comes from: stdin may be taken. */
  readonly secretFile: Given | undefined;
}

/** Listens to keys if a person can press them. */
export function listenForKeys(options: HotkeysOptions): void {
  const { live, secretFile } = options;
  const { stdin } = process;
  if (!stdin.isTTY || inCi() || secretFile?.text === "-") return;
  live.hint = "press h for help";
  const keys = new Keys({
    stdin,
    press: (key) => press(key, options),
    leave: () => live.screen.suspend(),
    enter: () => live.screen.resume(),
  });
  keys.start();
}

function press(key: string, { log, live, redial }: HotkeysOptions): void {
  switch (key) {
    case "h":
    case "?":
      live.rows(help(redial !== undefined, live.inspector !== undefined));
      break;
    case "u":
      live.sayUrls();
      break;
    case "o":
      open(live, live.urls[0]);
      break;
    case "i":
      open(live, live.inspector);
      break;
    case "Q":
      for (const url of live.urls) showQrCode({ log, live }, url);
      break;
    case "s":
      live.sayStatistics();
      break;
    case "c":
      live.screen.clear();
      break;
    case "r":
      redial?.();
      break;
    case "q":
      // The same as Ctrl-C: the second ends at once.
      interrupt();
      break;
    // Whoever wants a gap between two requests presses Enter, as in a shell.
    case "\r":
    case "\n":
      live.rows([[[""]]]);
      break;
  }
}

function help(dials: boolean, inspects: boolean): Line[] {
  const keys: readonly (readonly [string, string])[] = [
    ["u", "show the URLs"],
    ["o", "open the public URL in a browser"],
    ...(inspects ? [["i", "open the inspector"] as const] : []),
    ["Q", "QR code of the public URL"],
    ["s", "statistics"],
    ["c", "clear the screen"],
    ...(dials ? [["r", "connect anew"] as const] : []),
    ["q", "end when the requests in flight are done; again: now"],
  ];
  return keys.map(([key, does]) => [["  "], [key, "bold"], [`  ${does}`]]);
}

function open(live: LiveVoice, url: string | undefined): void {
  if (url === undefined) live.rows([[["  there is no URL to open yet", "dim"]]]);
  else if (openInBrowser(url, process.env)) live.rows([[[`  opening ${url}`, "dim"]]]);
  else live.rows([[["  no browser can be opened from here; open "], [url, "cyan"]]]);
}
