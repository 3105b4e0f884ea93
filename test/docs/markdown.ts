/** The repository's Markdown, as its readers see it: pages, headings, links, fenced blocks. */
import { readdirSync, readFileSync } from "node:fs";

export const root = new URL("../../", import.meta.url);

export const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

/** Folders whose pages are other people's, or made by a tool. */
const foreign = /^(?:\..*|node_modules|dist|results)$/;

/** Every page of the repository. */
export function pagesOfRepository(folder = ""): string[] {
  const entries = readdirSync(new URL(folder, root), { withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory()) return foreign.test(entry.name) ? [] : pagesOfRepository(`${path}/`);
    return entry.isFile() && path.endsWith(".md") ? [path] : [];
  });
}

export interface Fence {
  readonly language: string;
  readonly text: string;
}

const fence = /^( *)```(\w*)[^\n]*\n([^]*?)^\1```$/gm;

export function fencesOf(page: string): Fence[] {
  return Array.from(page.matchAll(fence), ([, , language = "", text = ""]) => ({ language, text }));
}

/** The page without its fenced blocks: what is in them is no Markdown. */
export function proseOf(page: string): string {
  return page.replaceAll(fence, "");
}

/** The anchors of a page, as GitHub makes them of headings, and those that it sets itself. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  const prose = proseOf(page);
  for (const [, heading = ""] of prose.matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const slug = slugOf(heading);
    let anchor = slug;
    for (let i = 1; anchors.has(anchor); i++) anchor = `${slug}-${i}`;
    anchors.add(anchor);
  }
  for (const [, id = ""] of prose.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

function slugOf(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/<[^>]+>/g, "")
    .toLowerCase()
    .replaceAll(/[^\p{Letter}\p{Number}\s_-]/gu, "")
    .replaceAll(" ", "-");
}

/** Where a page's links and pictures lead, as they are written. */
export function linksOf(page: string): string[] {
  const prose = proseOf(page).replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, " "));
  const inline = prose.matchAll(/!?\[[^\]]*\]\(([^)\s]+)[^)]*\)/g);
  const references = prose.matchAll(/^\[[^\]^]+\]: (\S+)/gm);
  const html = prose.matchAll(/<(?:a|img)\b[^>]*(?:href|src)="([^"]+)"/g);
  return [...inline, ...references, ...html].map(([, target = ""]) => target);
}

/** What a page has in inline code. */
export function codeOf(page: string): string[] {
  return Array.from(proseOf(page).matchAll(/(`+)(.+?)\1/g), ([, , code = ""]) => code.trim());
}
