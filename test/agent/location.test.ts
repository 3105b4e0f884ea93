/** Where an origin's redirects lead a visitor. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Place, prefixOf, relocate, relocated } from "../../agent/origin/location.ts";

const prefixed: Place = {
  prefix: "/send/shop",
  basePath: "",
  origin: ["localhost:4000", "shop.example"],
  visited: "edge.example",
};
const hostname: Place = { ...prefixed, prefix: "", visited: "shop.tunnel.example" };

describe("under a prefix", () => {
  test.each([
    ["an absolute path", "/login?next=%2F#top", "/send/shop/login?next=%2F#top"],
    ["the root", "/", "/send/shop/"],
    ["bytes that a URL parser would change", "/a/../%2e%2e//b", "/send/shop/a/../%2e%2e//b"],
    ["the origin's address", "http://localhost:4000/login", "/send/shop/login"],
    ["its address in other letters", "HTTP://LocalHost:4000/Login", "/send/shop/Login"],
    ["its address without a path", "http://localhost:4000", "/send/shop/"],
    ["its address with a query alone", "http://localhost:4000?a=b", "/send/shop/?a=b"],
    ["its address without a scheme", "//localhost:4000/login", "/send/shop/login"],
    ["the Host that it was given", "https://shop.example/login", "/send/shop/login"],
    ["that Host with a scheme's own port", "https://shop.example:443/login", "/send/shop/login"],
    [
      "the visited host without the prefix",
      "https://edge.example/login#a",
      "https://edge.example/send/shop/login#a",
    ],
    ["a longer name than the prefix", "/send/shopping", "/send/shop/send/shopping"],
  ])("%s leads to where the origin means", (_what, location, expected) => {
    expect(relocate(location, prefixed)).toBe(expected);
  });

  test.each([
    ["another host", "https://accounts.example/login?back=http://localhost:4000/"],
    ["another port of the origin's host", "http://localhost:4001/"],
    ["the origin's name as the beginning of another", "http://localhost:4000.evil.example/"],
    ["the origin's name as a user's", "http://localhost:4000@evil.example/"],
    ["another scheme", "mailto:root@localhost:4000"],
    ["an app's scheme", "shop://localhost:4000/done"],
    ["a relative path", "login"],
    ["a step up", "../login"],
    ["a query", "?page=2"],
    ["a fragment", "#top"],
    ["nothing", ""],
    ["what browsers take for another host", "/\\evil.example/"],
    ["a path that has the prefix already", "/send/shop/login"],
    ["the prefix itself", "/send/shop"],
    ["the visited host with the prefix", "https://edge.example/send/shop/login"],
  ])("%s is left as it is", (_what, location) => {
    expect(relocate(location, prefixed)).toBe(location);
  });
});

describe("under a host name of its own", () => {
  test("the origin's own address becomes a path, because no visitor reaches it", () => {
    expect(relocate("http://localhost:4000/login", hostname)).toBe("/login");
  });

  test("what would become another host stays what it is", () => {
    const locations = ["http://localhost:4000//evil.example/", "//localhost:4000/\\evil.example"];
    for (const location of locations) expect(relocate(location, hostname)).toBe(location);
    const based = { ...hostname, basePath: "/graphql" };
    expect(relocate("/graphql//evil.example", based)).toBe("/graphql//evil.example");
  });

  test.each(["/login", "https://shop.tunnel.example/login", "https://other.example/", "login"])(
    "%s is left as it is",
    (location) => {
      expect(relocate(location, hostname)).toBe(location);
    },
  );
});

describe("with a base path", () => {
  const based = { ...prefixed, basePath: "/graphql/v1" };
  test.each([
    ["/graphql/v1/login", "/send/shop/login"],
    ["/graphql/v1", "/send/shop/"],
    ["/graphql/v1?a=b", "/send/shop/?a=b"],
    ["http://localhost:4000/graphql/v1/login", "/send/shop/login"],
  ])("%s leads to %s", (location, expected) => {
    expect(relocate(location, based)).toBe(expected);
  });

  test.each(["/elsewhere", "/graphql/v11", "http://localhost:4000/elsewhere"])(
    "%s, to which no path of the tunnel leads, is left as it is",
    (location) => {
      expect(relocate(location, based)).toBe(location);
    },
  );

  test("under a host name only the base is taken off", () => {
    expect(relocate("/graphql/v1/login", { ...based, prefix: "" })).toBe("/login");
  });
});

test("Location, Content-Location and the URL of a Refresh are rewritten, in any case, and nothing else", () => {
  const fields = [
    ["LOCATION", "/a"],
    ["content-location", "/b"],
    ["Refresh", "5; url=/c"],
    ["refresh", "0;URL='http://localhost:4000/d'"],
    ["refresh", "30"],
    ["Link", "</e>; rel=next"],
    ["Set-Cookie", "a=b; Path=/"],
    ["X-Location", "/f"],
  ];
  expect(relocated(fields.flat(), () => prefixed)).toEqual(
    [
      ["LOCATION", "/send/shop/a"],
      ["content-location", "/send/shop/b"],
      ["Refresh", "5; url=/send/shop/c"],
      ["refresh", "0;URL='/send/shop/d'"],
      ["refresh", "30"],
      ["Link", "</e>; rel=next"],
      ["Set-Cookie", "a=b; Path=/"],
      ["X-Location", "/f"],
    ].flat(),
  );
});

test("an answer without such a field asks nothing about the way it came", () => {
  const never = (): Place => {
    throw new Error("asked");
  };
  expect(relocated(["content-type", "text/html"], never)).toEqual(["content-type", "text/html"]);
});

test("only what looks like a prefix of an edge is one", () => {
  expect(prefixOf("/send/shop")).toBe("/send/shop");
  for (const field of [undefined, "", "//evil.example", "/send/", "https://x", "/a b", "/\\x"]) {
    expect(prefixOf(field)).toBe("");
  }
});

test("rewriting again changes nothing more, and never adds a host", () => {
  const piece = fc.constantFrom("/", "//", "a", "..", "%2f", "?", "#", ":", "@", "\\", "http://");
  const known = fc.constantFrom("localhost:4000", "edge.example", "/send/shop", "evil.example");
  const locations = fc.array(fc.oneof(piece, known), { maxLength: 8 });
  fc.assert(
    fc.property(locations, (parts) => {
      const location = parts.join("");
      const once = relocate(location, prefixed);
      expect(relocate(once, prefixed)).toBe(once);
      if (once !== location)
        expect(once).toMatch(/^(?:(?:https?:)?\/\/edge\.example)?\/send\/shop(?:[/?#]|$)/i);
    }),
  );
});
