import { describe, expect, test } from "vitest";
import { localAddresses, PrintedUrls } from "../../agent/dev-server/printed-url.ts";

describe("a line of output", () => {
  test.each<[string, string, [string, number][]]>([
    [
      "Vite, in colours",
      "  \u001b[32m➜\u001b[39m  \u001b[1mLocal\u001b[22m:   \u001b[36mhttp://localhost:\u001b[1m5173\u001b[22m/\u001b[39m",
      [["http", 5173]],
    ],
    ["Next", "   - Local:        http://localhost:3000", [["http", 3000]]],
    [
      "webpack-dev-server",
      "<i> [webpack-dev-server] Loopback: http://localhost:8080/, http://[::1]:8080/",
      [
        ["http", 8080],
        ["http", 8080],
      ],
    ],
    ["Puma", "* Listening on http://127.0.0.1:3000", [["http", 3000]]],
    ["Django", "Starting development server at http://127.0.0.1:8000/", [["http", 8000]]],
    ["uvicorn", "Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)", [["http", 8000]]],
    ["all addresses", "listening on http://[::]:4000", [["http", 4000]]],
    ["a name", "http://shop.localhost:4000/", [["http", 4000]]],
    ["TLS", "Local: https://localhost:5173/", [["https", 5173]]],
    [
      "no port",
      "http://localhost/ and https://localhost",
      [
        ["http", 80],
        ["https", 443],
      ],
    ],
    ["another machine", "Network: http://192.168.1.7:5173/ https://example.com:443/", []],
    ["a machine that only begins so", "http://localhost.example:80/ http://127.0.0.1.example/", []],
    ["no such port", "http://localhost:99999/ http://localhost:0/", []],
    ["no address", "ready in 312 ms on port 3000", []],
  ])("of %s", (_what, line, expected) => {
    expect(localAddresses(line).map(({ scheme, port }) => [scheme, port])).toEqual(expected);
  });
});

test("lines may come in pieces that end anywhere", () => {
  const text =
    "ready\nLocal: \u001b[36mhttp://localhost:\u001b[1m5173\u001b[22m/\r\nhttp://localhost:80";
  for (let cut = 0; cut <= text.length; cut++) {
    const urls = new PrintedUrls();
    const found = [...urls.read(text.slice(0, cut)), ...urls.read(text.slice(cut))];
    expect(found).toEqual([{ scheme: "http", port: 5173 }]);
  }
});

test("output without an end of line is kept in bounds, and forgotten", () => {
  const urls = new PrintedUrls();
  expect(urls.read("http://localhost:1 ".repeat(10_000))).toEqual([]);
  expect(urls.read("\n").length).toBeLessThan(250);
});
