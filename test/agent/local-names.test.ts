/** What a server sees that shall not learn by which name it is visited. */
import { expect, test } from "vitest";
import { localNames } from "../../agent/origin/local-names.ts";

const visited = ["x-forwarded-host", "shop.example.com", "x-forwarded-proto", "https"];
const proto = ["x-forwarded-proto", "https"];

test.each([
  ["no public name", [...visited], [...proto]],
  [
    "its own address as the origin of its own pages",
    ["Origin", "https://shop.example.com", ...visited],
    ["Origin", "https://localhost:3000", ...proto],
  ],
  [
    "another site's origin as it is",
    ["origin", "https://evil.example", ...visited],
    ["origin", "https://evil.example", ...proto],
  ],
  [
    "an origin of the same name over another scheme, or at another port, as it is",
    ["origin", "http://shop.example.com", "origin", "https://shop.example.com:8443", ...visited],
    ["origin", "http://shop.example.com", "origin", "https://shop.example.com:8443", ...proto],
  ],
  [
    "the origin of a page without one as it is",
    ["origin", "null", ...visited],
    ["origin", "null", ...proto],
  ],
  [
    "everything else as it is",
    ["a", "1", "Cookie", "b=2", "a", "3"],
    ["a", "1", "Cookie", "b=2", "a", "3"],
  ],
  [
    "what an edge that names no host leaves open",
    ["origin", "http://undefined", "x-forwarded-proto", "http"],
    ["origin", "http://undefined", "x-forwarded-proto", "http"],
  ],
])("sees %s", (_what, fields, local) => {
  expect(localNames(fields, "localhost:3000")).toEqual(local);
});
