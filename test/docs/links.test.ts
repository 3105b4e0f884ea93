/** Every link that leads to a place in the repository leads to one that is there. */
import { existsSync } from "node:fs";
import { posix } from "node:path";
import { describe, expect, test } from "vitest";
import { anchorsOf, codeOf, linksOf, pagesOfRepository, read, root } from "./markdown.ts";

const pages = pagesOfRepository();

/** What is wrong with a link of `page`; undefined when it leads somewhere. */
function faultOf(page: string, link: string): string | undefined {
  if (/^(?:https?:|mailto:)/.test(link)) return undefined;
  const [path = "", anchor] = link.split("#", 2);
  const target = path === "" ? page : posix.normalize(posix.join(posix.dirname(page), path));
  if (target.startsWith("..")) return "leads out of the repository";
  if (!existsSync(new URL(target, root))) return `${target} is not there`;
  if (anchor === undefined) return undefined;
  if (!target.endsWith(".md")) return "an anchor in what is no page";
  return anchorsOf(read(target)).has(anchor) ? undefined : `${target} has no heading #${anchor}`;
}

describe("links", () => {
  test.each(pages)("of %s lead somewhere", (page) => {
    const faults = linksOf(read(page)).map((link) => [link, faultOf(page, link)] as const);
    expect(faults.filter(([, fault]) => fault !== undefined)).toEqual([]);
  });

  test("that lead nowhere are noticed", () => {
    expect(faultOf("docs/errors.md", "nowhere.md")).toBe("docs/nowhere.md is not there");
    expect(faultOf("docs/errors.md", "../README.md#nothing")).toContain("no heading #nothing");
    expect(faultOf("README.md", "../else.md")).toBe("leads out of the repository");
    expect(faultOf("docs/errors.md", "#agent-offline")).toBeUndefined();
  });

  test("in code and in fenced blocks are none", () => {
    expect(linksOf("`[a](b)`\n```\n[c](d)\n```\n[e](f#g) ![h](i.svg)")).toEqual(["f#g", "i.svg"]);
  });
});

/** A file or folder of the repository that inline code names, a file perhaps without its ending; not what a run leaves behind. */
const named =
  /^(?:codec|edge|agent|bench|test|docs|deploy|examples|build)\/(?!results\/tmp)[\w./-]*[\w/]$/;

function isThere(path: string): boolean {
  return existsSync(new URL(path, root)) || existsSync(new URL(`${path}.ts`, root));
}

/** The paths that inline code names and that are not there. */
function strayOf(page: string): string[] {
  return codeOf(page).filter((code) => named.test(code) && !isThere(code));
}

describe("files", () => {
  test.each(pages)("that %s names are there", (page) => {
    expect(strayOf(read(page))).toEqual([]);
  });

  test("that are not there are noticed", () => {
    const page = "`agent/nowhere.ts`, `codec/mux`, `agent connect`, `bench/results/tmp/x`";
    expect(strayOf(page)).toEqual(["agent/nowhere.ts"]);
  });
});

describe("docs/README.md", () => {
  test("links every page of docs/, with a line on each", () => {
    const index = read("docs/README.md");
    const linked = new Set(linksOf(index).map((link) => link.split("#", 1)[0]));
    for (const page of pages) {
      const name = /^docs\/([^/]+\.md)$/.exec(page)?.[1];
      if (name === undefined || name === "README.md") continue;
      expect(linked, page).toContain(name);
      expect(index).toMatch(new RegExp(`\\]\\(${name}\\)[^\\n]{20,}`));
    }
  });
});
