/** The checks of `agent doctor` in the test's own process, against whatever servers the test has. */
import type { GivenValues } from "../../agent/config/given.ts";
import type { CheckName, Finding } from "../../agent/doctor/check.ts";
import { examine, exitOf, type Result, summaryOf } from "../../agent/doctor/examine.ts";
import { sceneOf } from "../../agent/doctor/scene.ts";
import { UsageError } from "../../agent/config/usage.ts";

export interface Patient {
  readonly edge: string;
  /** False for none. */
  readonly token?: string | false;
  readonly port?: number;
  readonly origin?: string;
  /** More flags, by their camel-case names. */
  readonly flags?: Readonly<Record<string, string>>;
  readonly environment?: NodeJS.ProcessEnv;
  readonly idleMs?: number;
  /** Told when a check begins, by its title. */
  readonly begins?: (title: string) => void;
}

export interface Diagnosis {
  readonly results: readonly Result[];
  readonly exit: number;
  readonly summary: string;
  /** `status: details` and, behind an arrow, the action. */
  readonly of: (name: CheckName) => string;
  readonly finding: (name: CheckName) => Finding;
  /** The names of those that have the status. */
  readonly all: (status: Finding["status"]) => CheckName[];
}

/** What a token looks like, signed by nobody: the doctor reads its claims, and only a real edge its signature. */
export function unsigned(claims: Readonly<Record<string, unknown>> = {}): string {
  const days = (count: number): number => Math.floor(Date.now() / 1000) + count * 86_400;
  const all = { service: "shop", role: "agent", exp: days(90), ...claims };
  return `e30.${Buffer.from(JSON.stringify(all)).toString("base64url")}.c2lnbmF0dXJl`;
}

export async function diagnose(patient: Patient): Promise<Diagnosis> {
  const {
    edge,
    token = unsigned(),
    port,
    origin,
    flags = {},
    environment = {},
    idleMs = 0,
  } = patient;
  const texts: Record<string, string> = {
    edge,
    service: "shop",
    ...(port === undefined ? {} : { port: String(port) }),
    ...(origin === undefined ? {} : { origin }),
    ...flags,
  };
  const given: GivenValues = Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, { text, from: `--${name}`, flag: true }]),
  );
  const readToken = async (): Promise<string> => {
    if (token === false) throw new UsageError('A token is missing for "shop".');
    return token;
  };
  const results = await examine(() => sceneOf(given, { environment, idleMs, readToken }), {
    begins: (title) => patient.begins?.(title),
    ends: () => {},
  });
  const finding = (name: CheckName): Finding => {
    const found = results.find((result) => result.name === name);
    if (found === undefined) throw new Error(`no check ${name}`);
    return found.finding;
  };
  return {
    results,
    exit: exitOf(results),
    summary: summaryOf(results),
    of: (name) => {
      const { status, details, action } = finding(name);
      return `${status}: ${details}${action === undefined ? "" : ` → ${action}`}`;
    },
    finding,
    all: (status) =>
      results.filter((result) => result.finding.status === status).map(({ name }) => name),
  };
}
