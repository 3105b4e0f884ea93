import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isServiceName, routeOf } from "../../edge/route.ts";

const send = (service: string, target: string, prefix = `/send/${service}`) => ({
  kind: "send",
  service,
  target,
  prefix,
});

describe("a prefix route", () => {
  test.each([
    ["/send/shop/", "/"],
    ["/send/shop", "/"],
    ["/send/shop?a=1", "/?a=1"],
    ["/send/shop?", "/?"],
    ["/send/shop/?", "/?"],
    ["/send/shop/a/b?c=/d?e", "/a/b?c=/d?e"],
    ["/send/shop/%2e%2e/%2F//x", "/%2e%2e/%2F//x"],
    ["/send/shop//", "//"],
    ["/send/shop/send/other/", "/send/other/"],
  ])("%s has the target %s", (path, target) => {
    expect(routeOf(`https://edge.test:8787${path}`, undefined)).toEqual(send("shop", target));
  });

  test("keeps every byte of the target", () => {
    const targets = fc
      .array(fc.constantFrom("%2e", "%2F", "%C3%A9", "/", "?", "a", "=", "&", ".", ";", "//"))
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(targets, (target) => {
        expect(routeOf(`http://h/send/a-1/${target}`, "tunnel.test")).toEqual(
          send("a-1", `/${target}`),
        );
      }),
    );
  });
});

describe("no route", () => {
  test.each([
    "/",
    "/send",
    "/send/",
    "/send//x",
    "/send/?x",
    "/Send/shop/",
    "/send/Shop/",
    "/send/sh_op/",
    "/send/-shop/",
    "/send/shop-/",
    "/send/sh%6fp/",
    "/send/shop.x/",
    `/send/${"a".repeat(64)}/`,
    "/websocket/",
    "/websocket/shop/",
    "/websocket/shop/more",
    "/websocket",
    "/status/Shop",
    "/status/shop/x",
    "/shards/shop/x",
    "/shards/",
    "/favicon.ico",
  ])("leads from %s", (path) => {
    expect(routeOf(`https://edge.test${path}`, undefined)).toBeUndefined();
  });

  test("leads from what is no URL", () => {
    expect(routeOf("", undefined)).toBeUndefined();
    expect(routeOf("/send/shop/", undefined)).toBeUndefined();
    expect(routeOf("https://edge.test", undefined)).toBeUndefined();
  });

  test("is the answer to arbitrary text, never a throw or an illegal service", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (text, domain) => {
        for (const url of [text, `http://${text}`, `http://h/${text}`, `http://h/send/${text}`]) {
          const route = routeOf(url, domain);
          if (route === undefined) continue;
          expect(isServiceName(route.service)).toBe(true);
          if (route.kind === "send") expect(route.target.startsWith("/")).toBe(true);
        }
      }),
    );
  });
});

test("agents and status pages have one path a service, whatever the query", () => {
  expect(routeOf("https://e/websocket/shop?x", undefined)).toEqual({
    kind: "websocket",
    service: "shop",
  });
  expect(routeOf("https://e/status/shop", undefined)).toEqual({ kind: "status", service: "shop" });
  expect(routeOf("https://e/shards/shop", undefined)).toEqual({ kind: "shards", service: "shop" });
  expect(routeOf("https://e/probe/shop?bytes=1", undefined)).toEqual({
    kind: "probe",
    service: "shop",
  });
});

describe("in hostname mode", () => {
  test("a host directly below the domain is a service, with every path its own", () => {
    for (const host of ["shop.tunnel.test", "shop.tunnel.test:8787", "SHOP.Tunnel.test"]) {
      expect(routeOf(`http://${host}/websocket/x?y`, "tunnel.test")).toEqual(
        send("shop", "/websocket/x?y", ""),
      );
    }
  });

  test.each([
    "tunnel.test",
    "a.b.tunnel.test",
    "sh_op.tunnel.test",
    "shoptunnel.test",
    "other.test",
  ])("%s is no service's host", (host) => {
    expect(routeOf(`http://${host}/x`, "tunnel.test")).toBeUndefined();
    expect(routeOf(`http://${host}/send/shop/x`, "tunnel.test")).toEqual(send("shop", "/x"));
  });
});

test("service names are one lower-case DNS label", () => {
  for (const good of ["a", "0", "a-b", "a--b", "9a", "a".repeat(63)]) {
    expect(isServiceName(good)).toBe(true);
  }
  for (const bad of ["", "-", "a-", "-a", "A", "a.b", "a b", "é", "a\n", "a".repeat(64)]) {
    expect(isServiceName(bad)).toBe(false);
  }
});
