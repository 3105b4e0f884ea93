import { describe, expect, test } from "vitest";
import { isBasePath, withBase } from "../../agent/origin/base-path.ts";

test.each([
  ["/graphql", "/", "/graphql"],
  ["/graphql", "/?query=%7B%7D", "/graphql?query=%7B%7D"],
  ["/graphql", "/schema", "/graphql/schema"],
  ["/graphql", "//x", "/graphql//x"],
  ["/graphql/", "/", "/graphql/"],
  ["/graphql/", "/?a", "/graphql/?a"],
  ["/graphql/", "/schema", "/graphql/schema"],
  ["/a/b", "/c?d=/../e", "/a/b/c?d=/../e"],
  ["", "/a/../b", "/a/../b"],
  ["/graphql", "/a..b/...", "/graphql/a..b/..."],
  ["/graphql", "/b%2Fc'\"<>|{}", "/graphql/b%2Fc'\"<>|{}"],
])("below %j the target %j is %j", (base, target, expected) => {
  expect(withBase(base, target)).toBe(expected);
});

describe("a target that a server could read as one outside the base is refused", () => {
  test.each([
    "/../admin",
    "/..",
    "/x/../../admin",
    "/%2e%2e/admin",
    "/.%2E/admin",
    "/..%2fadmin",
    "/x%2f..%2fadmin",
    "/..\\admin",
    "/x\\..\\admin",
    "/..%5cadmin",
    "/..;/admin",
    "/..?a",
    "*",
  ])("%s", (target) => {
    expect(withBase("/graphql", target)).toBeUndefined();
  });
});

test("a base path begins at the root and has no query, no fragment and no dot segments", () => {
  for (const path of ["/", "/graphql", "/a/b/", "/%C3%BC", "/a.b"]) {
    expect(isBasePath(path), path).toBe(true);
  }
  for (const path of ["", "graphql", "/a?b", "/a#b", "/a b", "/ü", "/a/../b", "http://x/"]) {
    expect(isBasePath(path), path).toBe(false);
  }
});
