/** What opens a URL, and where nothing can. */
import { expect, test } from "vitest";
import { openerOf } from "../../agent/terminal/browser.ts";

test.each([
  ["darwin", {}, "open"],
  ["linux", { DISPLAY: ":0" }, "xdg-open"],
  ["linux", { WAYLAND_DISPLAY: "wayland-0" }, "xdg-open"],
  ["linux", {}, undefined],
  ["linux", { DISPLAY: "localhost:10.0", SSH_CONNECTION: "10.0.0.1 1 10.0.0.2 22" }, undefined],
  ["darwin", { SSH_CONNECTION: "10.0.0.1 1 10.0.0.2 22" }, undefined],
  ["win32", {}, "rundll32"],
] as const)("on %s with %o it is %s", (platform, environment, program) => {
  expect(openerOf(platform, environment)?.[0]).toBe(program);
});
