/**
 * Hides what must not be shown: the secrets that this run knows of, wherever somebody repeats them, and what looks like one.
 *
 * It is the second line: nothing puts a secret into a text in the first place.
 */
import { printable } from "../terminal/json.ts";

/** Shorter ones would hide parts of ordinary words. */
const LEAST_CHARS = 4;

const HIDDEN = "•••";

/** Variables that hold a secret, or a URL with one in it. */
const secretVariables = ["AGENT_TOKEN", "TUNNEL_SECRET", "TUNNEL_SECRET_PREVIOUS"];
const urlVariables = [
  "HTTPS_PROXY",
  "https_proxy",
  "HTTP_PROXY",
  "http_proxy",
  "ALL_PROXY",
  "all_proxy",
];

export class Secrets {
  readonly #known = new Set<string>();

  constructor(environment: NodeJS.ProcessEnv) {
    for (const name of secretVariables) this.add(environment[name]);
    for (const name of urlVariables) this.addUrl(environment[name] ?? "");
  }

  add(secret: string | undefined): void {
    const bare = secret?.trim() ?? "";
    if (bare.length >= LEAST_CHARS) this.#known.add(bare);
  }

  /** What a URL has before its `@`, in every form in which it is sent on. */
  addUrl(url: string): void {
    const userinfo = /^(?:[a-z][a-z0-9+.-]*:\/\/)?(.*)@/i.exec(url.trim())?.[1];
    if (userinfo === undefined) return;
    for (const each of [userinfo, unescaped(userinfo)]) {
      this.add(each);
      this.add(each.slice(each.indexOf(":") + 1));
      this.add(Buffer.from(each).toString("base64"));
    }
  }

  /** JSON without them. Not hidden afterwards, in the text: there a quote or a backslash of theirs has another form. */
  stringify(value: unknown, space?: number): string {
    const hidden = (_key: string, each: unknown): unknown =>
      typeof each === "string" ? this.hide(each) : each;
    return printable(JSON.stringify(value, hidden, space));
  }

  /** The text without them. */
  hide(text: string): string {
    let shown = text;
    const longestFirst = [...this.#known].toSorted((a, b) => b.length - a.length);
    for (const secret of longestFirst) shown = shown.replaceAll(secret, HIDDEN);
    return shown
      .replaceAll(/\/\/[^/@\s"]*@/g, `//${HIDDEN}@`)
      .replaceAll(/\b(bearer|basic) +[\w.~+/=-]+/gi, `$1 ${HIDDEN}`)
      .replaceAll(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, HIDDEN);
  }
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
