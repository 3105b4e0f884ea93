import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { jwtVerify } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkSecret, readSecret, type Surroundings } from "../../agent/config/secret.ts";
import { signToken } from "../../agent/edge-here/token.ts";
import { UsageError } from "../../agent/config/usage.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function around(environment: Record<string, string> = {}, stdin = ""): Surroundings {
  return { environment, stdin: Readable.from([Buffer.from(stdin)]), ask: () => {} };
}

const source = { what: "token", variable: "AGENT_TOKEN", flag: "--token-file", file: undefined };

test("a secret comes from a file, without the line's end", async () => {
  const file = join(directory, "token");
  await writeFile(file, "a.b.c\n");
  expect(await readSecret({ ...source, file }, around({ AGENT_TOKEN: "other" }))).toBe("a.b.c");
});

test("a secret comes from stdin for -", async () => {
  expect(await readSecret({ ...source, file: "-" }, around({}, " piped \n"))).toBe("piped");
});

test("only a person at a terminal is asked for it", async () => {
  const asked: string[] = [];
  const ask = (sentence: string): void => void asked.push(sentence);
  await readSecret({ ...source, file: "-" }, { ...around({}, "piped"), ask });
  const stdin = Object.assign(Readable.from([Buffer.from("typed")]), { isTTY: true });
  const atTerminal = { environment: {}, stdin, ask };
  expect(await readSecret({ ...source, file: "-" }, atTerminal)).toBe("typed");
  expect(asked).toEqual(["Paste the token, then Enter and Ctrl-D."]);
});

test("a secret comes from its variable, and an empty variable is none", async () => {
  expect(await readSecret(source, around({ AGENT_TOKEN: "from-env" }))).toBe("from-env");
  expect(await readSecret(source, around({ AGENT_TOKEN: " " }))).toBeUndefined();
  expect(await readSecret(source, around())).toBeUndefined();
});

test("an empty or missing file is refused by name", async () => {
  const empty = join(directory, "empty");
  await writeFile(empty, "\n");
  await expect(readSecret({ ...source, file: empty }, around())).rejects.toThrow(
    `There is no token in the file "${empty}" (--token-file)`,
  );
  const missing = join(directory, "missing");
  await expect(readSecret({ ...source, file: missing }, around())).rejects.toThrow(UsageError);
  await expect(readSecret({ ...source, file: missing }, around())).rejects.toThrow(
    `There is no file "${missing}" (--token-file). Make one with \`agent token\`.`,
  );
  const secret = { ...source, what: "secret", flag: "--secret-file", file: missing };
  await expect(readSecret(secret, around())).rejects.toThrow("openssl rand -hex 32");
  const previous = { ...secret, what: "previous secret" };
  await expect(readSecret(previous, around())).rejects.toThrow("leave --secret-file out");
  await expect(readSecret({ ...source, file: "-" }, around())).rejects.toThrow("in stdin");
});

test("a secret of 31 characters is refused with advice and without being shown, one of 32 is not", () => {
  const short = "z".repeat(31);
  expect(() => checkSecret(short)).toThrow("openssl rand -hex 32");
  expect(() => checkSecret(short)).not.toThrow(short);
  expect(checkSecret("z".repeat(32))).toHaveLength(32);
});

test("a token carries service, role, id and times, and is signed with the secret", async () => {
  const secret = "s".repeat(32);
  const nowMs = Date.parse("2026-11-24T06:00:00Z");
  const claims = { service: "shop", role: "visitor", nowMs, expiresMs: nowMs + 60_000 } as const;
  const token = await signToken(claims, secret);
  const key = new TextEncoder().encode(secret);
  const { payload, protectedHeader } = await jwtVerify(token, key, {
    issuer: "sluice",
    audience: "sluice",
    currentDate: new Date(nowMs + 59_000),
  });
  expect(protectedHeader.alg).toBe("HS256");
  expect(payload).toMatchObject({ service: "shop", role: "visitor", iat: nowMs / 1000 });
  expect(payload.exp).toBe(nowMs / 1000 + 60);
  expect(payload.jti).toMatch(/^[0-9a-f-]{36}$/);
  const late = { issuer: "sluice", currentDate: new Date(nowMs + 61_000) };
  await expect(jwtVerify(token, key, late)).rejects.toThrow();
  await expect(jwtVerify(token, new TextEncoder().encode("t".repeat(32)))).rejects.toThrow();
});

test("two tokens for the same claims have different ids", async () => {
  const claims = { service: "shop", role: "agent", nowMs: 0, expiresMs: 1000 } as const;
  expect(await signToken(claims, "s".repeat(32))).not.toBe(await signToken(claims, "s".repeat(32)));
});
