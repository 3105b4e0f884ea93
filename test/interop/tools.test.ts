/** curl and autocannon: the tools that people try a tunnel with. */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import autocannon from "autocannon";
import { describe, expect } from "vitest";
import { Program } from "../support/program.ts";
import { agrees, listen, useWays } from "./ways.ts";

const file = randomBytes(300_000).toString("base64");

const ways = useWays(async () =>
  listen(
    createServer((request, response) => {
      void (async () => {
        const { method = "", url = "", headers } = request;
        if (method === "GET" && url === "/file") {
          const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
          const last = file.length - 1;
          const range = { "content-range": `bytes ${from}-${last}/${file.length}` };
          response.writeHead(from > 0 ? 206 : 200, from > 0 ? range : {});
          response.end(file.slice(from));
          return;
        }
        const body = Buffer.concat(await request.toArray());
        response.writeHead(200, { "content-type": "text/plain", "set-cookie": ["a=1", "b=2"] });
        response.end(`${method} ${url} ${headers["content-type"] ?? ""} ${body.toString()}`);
      })();
    }),
  ),
);

/** What curl prints: the body, then status, bytes and cookies. */
async function curl(base: string, flags: readonly string[]): Promise<readonly string[]> {
  const all = ["-sS", "-m", "20", "-w", "\n%{http_code} %{size_download}", "-c", "-"];
  const [first = "", ...more] = flags;
  const program = Program.start("curl", [...all, `${base}${first}`, ...more]);
  const { code } = await program.exit();
  // What differs of a cookie is the host and the prefix that it is for.
  const lines = program.lines.map((line) => line.split("\t").slice(-2).join("="));
  return [...lines, `exit ${code}`];
}

const requests: readonly (readonly [name: string, flags: readonly string[], told: string])[] = [
  ["a query with everything", ["/find?q=tea%20pot&q=%F0%9F%AB%96&empty=&flag"], "empty=&flag"],
  ["a path that is not tidy", ["/a//b/%2e%2e/;p=1/", "--path-as-is"], "GET /a//b/%2e%2e/;p=1/"],
  ["a form", ["/form", "--data-urlencode", "name=Käthe & Co"], "%26"],
  ["a DELETE with a body", ["/thing", "-X", "DELETE", "--json", '{"id": 1}'], '{"id": 1}'],
  ["a body it waits to send", ["/up", "-H", "Expect: 100-continue", "-d", "late"], "late"],
  ["a method of its own", ["/thing", "-X", "PROPFIND"], "PROPFIND /thing"],
  ["a download resumed", ["/file", "-C", "200000"], file.slice(-1000)],
];

describe.each(requests)("curl, %s", (_name, flags, told) => {
  agrees(
    "prints the same",
    ways,
    (base) => curl(base, flags),
    (lines) => {
      expect(lines.join("\n")).toContain(told);
      expect(lines.at(-1)).toBe("exit 0");
    },
  );
});

agrees(
  "autocannon has every request answered",
  ways,
  async (base) => {
    const {
      "2xx": good,
      non2xx,
      errors,
      timeouts,
      mismatches,
    } = await autocannon({
      url: `${base}/shot`,
      method: "POST",
      body: "tea",
      expectBody: "POST /shot  tea",
      connections: 20,
      amount: 1000,
    });
    return { good, non2xx, errors, timeouts, mismatches };
  },
  (seen) => expect(seen).toEqual({ good: 1000, non2xx: 0, errors: 0, timeouts: 0, mismatches: 0 }),
);
