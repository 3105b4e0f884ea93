import { describe, expect, test } from "vitest";
import { inspectConfig } from "../../agent/config/inspect.ts";
import { UsageError } from "../../agent/config/usage.ts";

const given = (text: string) => ({ text, from: "--inspect-port", flag: true });

describe("the inspector", () => {
  test.each([
    ["on a terminal, at its own port", {}, true, { port: undefined }],
    ["not where nobody looks", {}, false, undefined],
    ["not for a program", { json: given("true") }, true, undefined],
    [
      "for a program that asks",
      { json: given("true"), inspect: given("1") },
      false,
      { port: undefined },
    ],
    ["where a port is given", { json: given("true"), inspectPort: given("0") }, false, { port: 0 }],
    ["at the port that is given", { inspectPort: given("4999") }, true, { port: 4999 }],
    [
      "never when it is not wanted",
      { inspect: given("false"), inspectPort: given("1") },
      true,
      undefined,
    ],
    ["not by the variable AGENT_INSPECT=0", { inspect: given("0") }, true, undefined],
  ])("is there %s", (_when, values, terminal, expected) => {
    expect(inspectConfig(values, terminal)).toEqual(expected);
  });

  test.each(["x", "-1", "65536", "4e3", ""])("has no port %j", (text) => {
    expect(() => inspectConfig({ inspectPort: given(text) }, true)).toThrow(UsageError);
  });
});
