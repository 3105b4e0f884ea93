/** Who may know whom: the arrows between rooms, and the order of files inside the kernel. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const root = new URL("..", import.meta.url);

/** The files of the kernel, each of which may import those before it. */
const order =
  "assert limits errors frame headers request-id timing-report head half budget credit queue inbox outbox turns stream mux shape wire transport link messenger greeting body exchange proof vitals coalescer session listener dialer";
const kernel = order.split(" ").map((name) => `${name}.ts`);

function sourceOf(room: string, file: string): string {
  return readFileSync(new URL(`${room}/${file}`, root), "utf8");
}

function filesOf(room: string): string[] {
  const files = readdirSync(new URL(room, root), { recursive: true, encoding: "utf8" });
  return files.filter((file) => file.endsWith(".ts"));
}

/** What a file imports, statically, dynamically, for types or to export it again. */
function importsOf(room: string, file: string): string[] {
  const source = sourceOf(room, file).replaceAll(/\/\*.*?\*\/|^\s*\/\/.*$/gms, "");
  const found = source.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)(["'`])(.*?)\1/g);
  return Array.from(found, ([, , name]) => name ?? "");
}

describe("codec/", () => {
  test("has the files that its order names, and no others", () => {
    expect(new Set(filesOf("codec"))).toEqual(new Set(kernel));
  });

  test.each(kernel)("%s imports only what comes before it", (file) => {
    const before = kernel.slice(0, kernel.indexOf(file)).map((name) => `./${name}`);
    const allowed = file === "wire.ts" ? [...before, "@msgpack/msgpack"] : before;
    for (const name of importsOf("codec", file)) expect(allowed).toContain(name);
  });

  test("keeps bytes and streams apart: mux.ts and wire.ts do not know each other", () => {
    expect(importsOf("codec", "wire.ts")).not.toContain("./mux.ts");
    expect(importsOf("codec", "mux.ts")).not.toContain("./wire.ts");
  });

  test.each(kernel)("%s knows no clock, no randomness, no timer and no platform", (file) => {
    const source = sourceOf("codec", file).replaceAll(/\/\*.*?\*\/|\/\/.*$/gms, "");
    expect(source).not.toMatch(
      /\b(Date|performance|Math\.random|crypto|setTimeout|setInterval|setImmediate|queueMicrotask|process|Buffer|globalThis|new WebSocket|ReadableStream|fetch|console)\b/,
    );
  });

  test.each(kernel.slice(0, kernel.indexOf("body.ts")))("%s makes no promise", (file) => {
    expect(sourceOf("codec", file)).not.toMatch(/\b(Promise|async|await)\b/);
  });
});

describe("the rooms above", () => {
  test.each(filesOf("edge"))(
    "edge/%s imports only the kernel, its room and what runs in a Worker",
    (file) => {
      for (const name of importsOf("edge", file)) {
        expect(name).toMatch(
          /^(\.\/[\w-]+\.ts|\.\.\/codec\/[\w-]+\.ts|cloudflare:workers|jose|valibot)$/,
        );
      }
    },
  );

  test.each(filesOf("agent"))("agent/%s never imports the edge, the bench or a test", (file) => {
    for (const name of importsOf("agent", file)) {
      expect(name).not.toMatch(/(^|\/)(edge|bench|test)\/|^cloudflare:/);
    }
  });

  test("use no file of the kernel that is not meant for them: neither knows frames' bytes nor the mux", () => {
    const face = [
      "errors",
      "exchange",
      "frame",
      "headers",
      "limits",
      "request-id",
      "session",
      "timing-report",
      "transport",
      "listener",
      "dialer",
      "assert",
      "body",
      "budget",
    ];
    const allowed = face.map((name) => `codec/${name}.ts`);
    for (const room of ["edge", "agent"]) {
      for (const file of filesOf(room)) {
        for (const name of importsOf(room, file)) {
          const used = /^(?:\.\.\/)+(codec\/.*)$/.exec(name)?.[1];
          if (used !== undefined) expect(allowed, `${room}/${file}`).toContain(used);
        }
      }
    }
  });
});
