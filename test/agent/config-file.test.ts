/** The configuration file: what it may hold, what it says when it is wrong, and what wins over it. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectConfig } from "../../agent/config/config.ts";
import type { Given, GivenValues } from "../../agent/config/given.ts";
import {
  notAskedFor,
  parseConfigFile,
  readConfigFile,
  servicesOf,
} from "../../agent/config/config-file.ts";
import { UsageError } from "../../agent/config/usage.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-config-"));
});
afterAll(() => rm(directory, { recursive: true }));

const two = {
  edge: "https://edge.example",
  grace: "5s",
  services: {
    shop: { port: 4000, tokenFile: "shop.token", hostHeader: "shop.example" },
    api: {
      origin: "https://10.0.0.5",
      path: "/graphql",
      concurrency: 8,
      originTimeout: "30s",
      originCa: "/etc/ca.pem",
      insecureOrigin: true,
      rewriteLocation: false,
    },
  },
};

function parse(content: unknown): ReturnType<typeof parseConfigFile> {
  return parseConfigFile(JSON.stringify(content), "sluice.json", "/home/me");
}

function given(text: string, from: string, flag: boolean): Given {
  return { text, from, flag };
}

function texts(values: GivenValues | undefined): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, each]) => [name, each?.text]));
}

test("every service of the file runs, with what is its own and what is shared", () => {
  const configs = servicesOf(parse(two), {}).map((values) => connectConfig(values));
  expect(configs).toMatchObject([
    {
      service: "shop",
      origin: { label: "http://localhost:4000" },
      hostHeader: "shop.example",
      graceMs: 5000,
      rewriteLocation: true,
    },
    {
      service: "api",
      origin: { label: "https://10.0.0.5" },
      basePath: "/graphql",
      concurrency: 8,
      originTimeoutMs: 30_000,
      originCa: "/etc/ca.pem",
      insecureOrigin: true,
      rewriteLocation: false,
      graceMs: 5000,
    },
  ]);
});

test("the file that the documentation shows is one", async () => {
  const page = await readFile(new URL("../../docs/origins.md", import.meta.url), "utf8");
  const [, example = ""] = /^```json\n([^]*?)^```$/m.exec(page) ?? [];
  const services = servicesOf(parseConfigFile(example, "sluice.json", "/home/me"), {});
  expect(services.map((values) => connectConfig(values).service)).toEqual(["shop", "api"]);
});

test("paths begin at the file's own directory, and stdin is no path", () => {
  const { services } = parse({
    services: {
      a: { tokenFile: "a.token", originCa: "../ca.pem" },
      b: { tokenFile: "-" },
      c: { tokenFile: "/run/c.token" },
    },
  });
  expect(texts(services.get("a"))).toMatchObject({
    tokenFile: "/home/me/a.token",
    originCa: "/home/ca.pem",
  });
  expect(texts(services.get("b"))).toMatchObject({ tokenFile: "-" });
  expect(texts(services.get("c"))).toMatchObject({ tokenFile: "/run/c.token" });
});

test.each<[string, unknown, string]>([
  [
    "no object",
    7,
    'sluice.json must be an object like {"services": {"shop": {"port": 4000}}}, not 7',
  ],
  ["no services", {}, "sluice.json: services is missing"],
  [
    "an empty list of services",
    { services: {} },
    "sluice.json: services must be an object with one service at least",
  ],
  [
    "a service that is a number",
    { services: { shop: 4000 } },
    'sluice.json: services.shop must be an object like {"port": 4000}, not 4000',
  ],
  [
    "a port in quotes",
    { services: { shop: { port: "4000" } } },
    'sluice.json: services.shop.port must be a whole number, not "4000"',
  ],
  [
    "half a port",
    { services: { shop: { port: 0.5 } } },
    "sluice.json: services.shop.port must be a whole number, not 0.5",
  ],
  [
    "a yes that is text",
    { services: { shop: { insecureOrigin: "yes" } } },
    'services.shop.insecureOrigin must be true or false, not "yes"',
  ],
  [
    "a time that is a number",
    { grace: 5, services: { shop: {} } },
    "sluice.json: grace must be text in quotes, not 5",
  ],
  [
    "a mistyped key",
    { services: { shop: { prot: 4000 } } },
    "sluice.json: services.shop.prot is not known; expected are port, origin, path",
  ],
  [
    "a mistyped key at the top",
    { egde: "", services: { shop: {} } },
    "sluice.json: egde is not known; expected are edge, ca, grace, replace, services",
  ],
  [
    "a secret",
    { services: { shop: { token: "x" } } },
    "services.shop.token must not be there: secrets stay out of this file. Give tokenFile",
  ],
])("%s is refused with the key and what is expected", (_what, content, says) => {
  expect(() => parse(content)).toThrow(UsageError);
  expect(() => parse(content)).toThrow(says);
});

test("what is no JSON is refused with the place", () => {
  expect(() => parseConfigFile('{"services": }', "sluice.json", "/")).toThrow(
    /^sluice\.json is not JSON: Unexpected token/,
  );
});

test("a value that is wrong in itself is refused with its key in the file", () => {
  const values = servicesOf(parse({ ...two, services: { shop: { port: 0 } } }), {});
  expect(() => values.map((each) => connectConfig(each))).toThrow(
    'sluice.json: services.shop.port must be a whole number from 1 to 65535, not "0".',
  );
  const named = servicesOf(parse({ ...two, services: { Shop: { port: 1 } } }), {});
  expect(() => named.map((each) => connectConfig(each))).toThrow(
    'sluice.json: the service must be 1 to 63 lower-case letters, digits and inner hyphens, not "Shop".',
  );
});

describe("what wins", () => {
  const one = { edge: "https://edge.example", services: { shop: { port: 4000, concurrency: 8 } } };

  test("a variable wins over the file, and a flag over both", () => {
    const [values] = servicesOf(parse(one), {
      concurrency: given("16", "AGENT_CONCURRENCY", false),
      port: given("4001", "--port", true),
    });
    expect(values && connectConfig(values)).toMatchObject({
      concurrency: 16,
      origin: { label: "http://localhost:4001" },
    });
  });

  test("--service runs one of the file's services alone, and flags are its", () => {
    const values = servicesOf(parse(two), {
      service: given("shop", "--service", true),
      port: given("4001", "--port", true),
    });
    expect(values.map((each) => connectConfig(each))).toMatchObject([
      { service: "shop", hostHeader: "shop.example", origin: { label: "http://localhost:4001" } },
    ]);
  });

  test("a service that the file does not know takes what is shared from it", () => {
    const values = servicesOf(parse(two), {
      service: given("other", "--service", true),
      port: given("4001", "--port", true),
    });
    expect(values.map((each) => connectConfig(each))).toMatchObject([
      { service: "other", graceMs: 5000, hostHeader: undefined },
    ]);
  });

  test("a service that nobody says anything about is refused with those that there are", () => {
    expect(() => servicesOf(parse(two), { service: given("shpo", "--service", true) })).toThrow(
      'sluice.json has no service "shpo"; it has: shop, api.',
    );
  });

  test.each(["port", "origin", "path", "hostHeader", "tokenFile"])(
    "%s for all of several services is refused",
    (name) => {
      const values = { [name]: given("x", `--${name}`, true) };
      expect(() => servicesOf(parse(two), values)).toThrow(
        `--${name} is for one service, and sluice.json has 2: say which with --service.`,
      );
    },
  );

  test("what makes sense for all is for all", () => {
    const values = servicesOf(parse(two), { concurrency: given("3", "--concurrency", true) });
    expect(values.map((each) => connectConfig(each).concurrency)).toEqual([3, 3]);
  });
});

describe("where it is", () => {
  test("--config says, and paths in it begin where it is", async () => {
    const elsewhere = await mkdtemp(join(directory, "elsewhere-"));
    await writeFile(join(elsewhere, "sluice.config.json"), JSON.stringify(two));
    for (const path of [
      join(elsewhere, "sluice.config.json"),
      `${basename(elsewhere)}/sluice.config.json`,
    ]) {
      const found = await readConfigFile(given(path, "--config", true), directory);
      expect([...(found?.services.keys() ?? [])]).toEqual(["shop", "api"]);
      expect(texts(found?.services.get("shop"))).toMatchObject({
        tokenFile: join(elsewhere, "shop.token"),
      });
    }
  });

  test("and none is read, but mentioned, that nobody asked for", async () => {
    const empty = await mkdtemp(join(directory, "empty-"));
    expect(await notAskedFor(undefined, empty)).toBeUndefined();
    await writeFile(join(empty, "sluice.config.json"), JSON.stringify(two));
    expect(await readConfigFile(undefined, empty)).toBeUndefined();
    expect(await notAskedFor(undefined, empty)).toMatch(
      /^sluice\.config\.json is here and is not read/,
    );
    const asked = given(join(empty, "sluice.config.json"), "--config", true);
    expect(await notAskedFor(asked, empty)).toBeUndefined();
  });

  test("a --config that is not there is refused", async () => {
    await expect(readConfigFile(given("no.json", "--config", true), directory)).rejects.toThrow(
      /^The file "no\.json" \(--config\) cannot be read: ENOENT/,
    );
  });
});
