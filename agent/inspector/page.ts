/**
 * The page's files: what was built into the package, or else built now from their sources (in a checkout).
 *
 * Nothing is read or built before the first browser asks.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { UsageError } from "../config/usage.ts";

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
}

/** By path. */
export type Page = ReadonlyMap<string, PageFile>;

const folder = new URL("./ui/", import.meta.url);

const types = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
} as const;

let page: Promise<Page> | undefined;

/** @throws UsageError when the page is neither there nor can be built */
export function loadPage(): Promise<Page> {
  page ??= load();
  page.catch(() => (page = undefined));
  return page;
}

async function load(): Promise<Page> {
  const script = (await readIfThere("app.js")) ?? (await buildScript());
  const read = (name: string): Promise<Buffer> => readFile(new URL(name, folder));
  return new Map<string, PageFile>([
    ["/", { type: types.html, bytes: await read("index.html") }],
    ["/app.css", { type: types.css, bytes: await read("app.css") }],
    ["/icon.svg", { type: types.svg, bytes: await read("icon.svg") }],
    ["/app.js", { type: types.js, bytes: script }],
  ]);
}

async function readIfThere(name: string): Promise<Buffer | undefined> {
  try {
    return await readFile(new URL(name, folder));
  } catch {
    return undefined;
  }
}

/** The script of the page, bundled and small. @throws UsageError without esbuild */
export async function buildScript(): Promise<Buffer> {
  const esbuild = await import("esbuild").catch(() => undefined);
  if (esbuild === undefined) {
    throw new UsageError(
      "The inspector's page is missing, and cannot be built without the package esbuild: run it from a checkout after `npm ci`.",
    );
  }
  const built = await esbuild.build({
    entryPoints: [fileURLToPath(new URL("main.tsx", folder))],
    write: false,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "silent",
  });
  return Buffer.from(built.outputFiles[0]?.contents ?? new Uint8Array(0));
}
