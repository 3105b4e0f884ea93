import { spawnSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { curlOf, type CurlOptions } from "../../../agent/inspector/curl.ts";

interface Ran {
  readonly words: readonly string[];
  readonly stdin: Buffer;
}

/** What curl would have been given by a real shell. */
function run(line: string): Ran {
  const script = `curl() { for word in "$@"; do printf '%s\\0' "$word"; done; printf '\\0'; cat; }\n${line}\n`;
  const { stdout, stderr, status } = spawnSync("sh", [], { input: script });
  if (status !== 0 || stderr.length > 0) throw new Error(`sh: ${stderr.toString()}`);
  const end = stdout.indexOf("\0\0");
  return { words: stdout.subarray(0, end).toString().split("\0"), stdin: stdout.subarray(end + 2) };
}

const plain: CurlOptions = {
  method: "GET",
  url: "http://edge.test/send/shop/",
  headers: [],
  body: new Uint8Array(0),
  reveal: false,
};

/** Values after each `-H`. */
function headersOf({ words }: Ran): string[] {
  return words.flatMap((word, i) => (words[i - 1] === "-H" ? [word] : []));
}

test("a simple request is a simple line", () => {
  expect(
    curlOf({ ...plain, headers: ["Accept", "text/html", "X-Forwarded-For", "10.0.0.1"] }),
  ).toBe("curl --globoff --path-as-is http://edge.test/send/shop/ -H 'Accept: text/html'");
});

test("secrets are left out unless they are asked for", () => {
  const headers = ["Authorization", "Bearer tea", "cookie", "a=b"];
  expect(curlOf({ ...plain, headers })).not.toMatch(/tea|a=b/);
  expect(curlOf({ ...plain, headers, reveal: true })).toContain("'Authorization: Bearer tea'");
});

test("no part of a request is a word of the shell's", () => {
  const nasty = fc.string({
    unit: fc.constantFrom(...Array.from("'\"$`\\!*?[]{}~#&;|<>() \t%@=a\u00e9\u{1f375}")),
    maxLength: 30,
  });
  fc.assert(
    fc.property(
      fc.constantFrom("GET", "POST", "PURGE", "DELETE"),
      fc.stringMatching(/^\/[\x21-\x7e]{0,40}$/),
      fc.array(fc.tuple(fc.stringMatching(/^x-[a-z]{1,8}$/), nasty), { maxLength: 4 }),
      fc.oneof(
        nasty.map((text) => `${text}\n${text}`),
        fc.constant(""),
      ),
      (method, path, fields, body) => {
        const url = `http://edge.test${path}`;
        const line = curlOf({
          ...plain,
          method,
          url,
          headers: fields.flat(),
          body: Buffer.from(body),
        });
        const ran = run(line);
        expect(ran.words).toContain(url);
        const said = headersOf(ran).filter((field) => field.startsWith("x-"));
        expect(said).toEqual(
          fields.map(([name, value]) => (value === "" ? `${name};` : `${name}: ${value}`)),
        );
        const at = ran.words.indexOf("--data-raw");
        if (body === "") expect(at).toBe(-1);
        else expect(ran.words[at + 1]).toBe(body);
        const asked = ran.words.indexOf("-X");
        const byItself = body === "" ? "GET" : "POST";
        expect(asked === -1 ? byItself : ran.words[asked + 1]).toBe(method);
      },
    ),
    { numRuns: 80 },
  );
});

test("what is pasted into a terminal has no keys in it, whatever the body has", () => {
  const body = Buffer.from("\u0003\nrm -rf ~\n\u001b[201~\r\u007f");
  const line = curlOf({ ...plain, method: "POST", body });
  // oxlint-disable-next-line no-control-regex -- that is what must not be there
  expect(line).not.toMatch(/[\u0000-\u001f\u007f]/);
  expect(run(line).stdin.equals(body)).toBe(true);
});

describe("a body that is no text", () => {
  test("comes to curl byte for byte, from stdin", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom("", "-n ", "%"),
        (bytes, first) => {
          const body = Buffer.concat([Buffer.from(first), bytes, Buffer.from([0])]);
          const ran = run(curlOf({ ...plain, method: "POST", body }));
          expect(ran.words.slice(-2)).toEqual(["--data-binary", "@-"]);
          expect(ran.stdin.equals(body)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});
