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
    ["https://edge.example", { ALL_PROXY: proxy }, "ALL_PROXY"],
    ["ws://edge.example", { all_proxy: proxy, ALL_PROXY: "http://other" }, "all_proxy"],
    ["https://edge.example", { HTTPS_PROXY: proxy, all_proxy: "http://other" }, "HTTPS_PROXY"],
    ["https://edge.example", { HTTPS_PROXY: "", ALL_PROXY: proxy }, "ALL_PROXY"],
    ["https://edge.example", { HTTP_PROXY: "http://other", ALL_PROXY: proxy }, "ALL_PROXY"],
    ["http://localhost:8787", { ALL_PROXY: proxy }, undefined],
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
      { login: { user: "jo", password: "p@ss:word" } },
    ],
    ["http://proxy.example", { kind: "http", login: undefined }],
    ["socks5://proxy.example", { kind: "socks", version: 5, names: "here", port: 1080 }],
    ["SOCKS5H://proxy.example:9050", { kind: "socks", version: 5, names: "there", port: 9050 }],
    ["socks://127.0.0.1:1080/", { kind: "socks", version: 5, names: "there" }],
    ["socks4://proxy.example", { kind: "socks", version: 4, names: "here", port: 1080 }],
    ["socks4a://jo@[::1]:1080", { version: 4, names: "there", host: "::1", login: { user: "jo" } }],
    ["socks5://jo:p%40ss@proxy.example", { login: { user: "jo", password: "p@ss" } }],
  ])("%s is understood", (given, expected) => {
    expect(proxyFor(edge, { HTTPS_PROXY: given })).toMatchObject(expected);
  });

  test.each(["http", "socks5h"])("is shown without its credentials: %s", (scheme) => {
    const found = proxyFor(edge, { HTTPS_PROXY: `${scheme}://jo:secret@proxy.example:3128/` });
    expect(found?.label).toBe(`the proxy ${scheme}://proxy.example:3128 (HTTPS_PROXY)`);
  });

  test.each([
    ["socks6://jo:secret@proxy.example:1080", "must be a proxy's URL"],
    ["socks5://", "must be a proxy's URL"],
    ["socks4://jo:secret@proxy.example", "SOCKS4 knows users without one"],
    ["socks4://jo%00secret@proxy.example", "has a %00"],
    [`socks5://jo:${"secret".repeat(50)}@proxy.example`, "may have 255 bytes each"],
    ["http://jo:secret@corp.example/proxy.pac", "names a file of automatic configuration"],
    ["http://corp.example/wpad.dat", "names a file of automatic configuration"],
    ["pac+https://jo:secret@corp.example/x", "names a file of automatic configuration"],
    ["file:///etc/proxy.pac", "names a file of automatic configuration"],
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
