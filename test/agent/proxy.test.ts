import { describe, expect, test } from "vitest";
import { proxyFor } from "../../agent/connection/proxy.ts";

const edge = new URL("https://edge.corp.example");
const proxy = "http://proxy.example:3128";

describe("the variable", () => {
  test.each<[string, Record<string, string>, string | undefined]>([
    ["https://edge.example", { HTTPS_PROXY: proxy }, "HTTPS_PROXY"],
    ["https://edge.example", { https_proxy: proxy }, "https_proxy"],
    ["https://edge.example", { https_proxy: proxy, HTTPS_PROXY: "http://other" }, "https_proxy"],
    ["https://edge.example", { https_proxy: "", HTTPS_PROXY: proxy }, "HTTPS_PROXY"],
    ["https://edge.example", { HTTP_PROXY: proxy }, undefined],
    ["wss://edge.example", { HTTPS_PROXY: proxy }, "HTTPS_PROXY"],
    ["http://edge.example", { HTTP_PROXY: proxy }, "HTTP_PROXY"],
    ["http://edge.example", { http_proxy: proxy }, "http_proxy"],
    ["ws://edge.example", { HTTPS_PROXY: proxy }, undefined],
    ["http://127.0.0.1:8787", { HTTP_PROXY: proxy }, undefined],
    ["http://localhost:8787", { HTTP_PROXY: proxy }, undefined],
    ["https://edge.example", {}, undefined],
  ])("for %s with %o is %s", (url, environment, variable) => {
    expect(proxyFor(new URL(url), environment)?.variable).toBe(variable);
  });
});

describe("the proxy's URL", () => {
  test.each<[string, object]>([
    ["http://proxy.example:3128", { host: "proxy.example", port: 3128, secure: false }],
    ["proxy.example:3128", { host: "proxy.example", port: 3128, secure: false }],
    [" http://proxy.example/ ", { host: "proxy.example", port: 80, secure: false }],
    ["https://proxy.example", { host: "proxy.example", port: 443, secure: true }],
    ["http://[::1]:3128", { host: "::1", port: 3128 }],
    [
      "http://jo:p%40ss%3Aword@proxy.example:3128",
      { authorization: `Basic ${Buffer.from("jo:p@ss:word").toString("base64")}` },
    ],
    ["http://proxy.example", { authorization: undefined }],
  ])("%s is understood", (given, expected) => {
    expect(proxyFor(edge, { HTTPS_PROXY: given })).toMatchObject(expected);
  });

  test("is shown without its credentials", () => {
    const found = proxyFor(edge, { HTTPS_PROXY: "http://jo:secret@proxy.example:3128" });
    expect(found?.label).toBe("the proxy http://proxy.example:3128 (HTTPS_PROXY)");
  });

  test.each([
    ["socks5://proxy.example:1080", "SOCKS proxy (socks5://)"],
    ["SOCKS5h://jo:secret@proxy.example:1080", "SOCKS proxy (socks5h://)"],
    ["ftp://proxy.example", "must be a proxy's URL"],
    ["http://jo:sec#ret@proxy.example", "must be a proxy's URL"],
    ["http://jo:secret%zz@proxy.example", "must be written as %25"],
  ])("%s is a complaint that names the variable and shows no password", (given, says) => {
    const look = () => proxyFor(edge, { HTTPS_PROXY: given });
    expect(look).toThrow(says);
    expect(look).toThrow("HTTPS_PROXY");
    expect(look).not.toThrow(/sec#?ret/);
  });
});

describe("NO_PROXY", () => {
  test.each<[string, string, boolean]>([
    ["*", "https://edge.corp.example", true],
    ["edge.corp.example", "https://edge.corp.example", true],
    ["corp.example", "https://edge.corp.example", true],
    [".corp.example", "https://edge.corp.example", true],
    ["*.corp.example", "https://edge.corp.example", true],
    ["a.example, CORP.example", "https://edge.corp.example", true],
    ["a.example corp.example", "https://edge.corp.example", true],
    ["rp.example", "https://edge.corp.example", false],
    ["edge.corp", "https://edge.corp.example", false],
    ["", "https://edge.corp.example", false],
    [".", "https://edge.corp.example", false],
    ["corp.example:443", "https://edge.corp.example", true],
    ["corp.example:443", "wss://edge.corp.example", true],
    ["corp.example:8443", "https://edge.corp.example", false],
    ["corp.example:8443", "https://edge.corp.example:8443", true],
    ["10.1.2.3", "https://10.1.2.3", true],
    ["10.0.0.0/8", "https://10.1.2.3", true],
    ["10.0.0.0/8", "https://11.1.2.3", false],
    ["10.0.0.0/99", "https://10.1.2.3", false],
    ["10.0.0.0/", "https://10.1.2.3", false],
    ["10.0.0.0/8", "https://edge.corp.example", false],
    ["fd00::/8", "https://[fd00::1]", true],
    ["[fd00::1]", "https://[fd00::1]", true],
  ])("%j, asked for %s: %s", (list, url, excepted) => {
    for (const name of ["NO_PROXY", "no_proxy"]) {
      const found = proxyFor(new URL(url), { HTTPS_PROXY: proxy, [name]: list });
      expect(found === undefined).toBe(excepted);
    }
  });
});
