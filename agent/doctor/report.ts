/**
 * Everything that whoever helps needs to know, in one file, and no secrets: tokens are their claims, proxies have no
 * passwords, and what this run knows to be secret is looked for once more in the whole text.
 */
import { open } from "node:fs/promises";
import { arch, platform, release } from "node:os";
import { PROTOCOL } from "../../codec/limits.ts";
import type { GivenValues } from "../config/given.ts";
import { UsageError } from "../config/usage.ts";
import { VERSION } from "../software.ts";
import { exitOf, type Result, summaryOf } from "./examine.ts";
import type { Secrets } from "./secrets.ts";

/** Those variables that change how the edge is reached. */
const variables = [
  "HTTPS_PROXY",
  "https_proxy",
  "HTTP_PROXY",
  "http_proxy",
  "ALL_PROXY",
  "all_proxy",
  "NO_PROXY",
  "no_proxy",
  "NODE_EXTRA_CA_CERTS",
  "NODE_OPTIONS",
  "NODE_USE_SYSTEM_CA",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
];

export interface Examined {
  readonly service: string;
  readonly given: GivenValues;
  readonly results: readonly Result[];
}

export interface ReportOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly secrets: Secrets;
  readonly nowMs: number;
}

/** The text of the report. */
export function reportOf(
  examined: readonly Examined[],
  { environment, secrets, nowMs }: ReportOptions,
): string {
  const surroundings = variables
    .filter((name) => (environment[name] ?? "") !== "")
    .map((name): [string, string] => [name, environment[name] ?? ""]);
  const report = {
    report: "agent doctor",
    format: 1,
    at: new Date(nowMs).toISOString(),
    versions: {
      agent: VERSION,
      protocol: PROTOCOL,
      node: process.versions.node,
      openssl: process.versions.openssl,
      system: `${platform()} ${release()} ${arch()}`,
    },
    environment: Object.fromEntries(surroundings),
    services: examined.map(({ service, given, results }) => ({
      service,
      given: Object.fromEntries(
        Object.entries(given).map(([name, value]) => [
          name,
          { value: value?.text, from: value?.from },
        ]),
      ),
      checks: results.map(({ name, target, finding, ms }) => ({
        check: name,
        target,
        ms,
        ...finding,
      })),
      exit: exitOf(results),
      summary: summaryOf(results),
    })),
  };
  return `${secrets.stringify(report, 2)}\n`;
}

/** A file that can be written to, found out before the checks take their time. @throws UsageError */
export async function reportFile(path: string): Promise<(text: string) => Promise<void>> {
  try {
    const file = await open(path, "w", 0o600);
    return async (text) => {
      await file.writeFile(text);
      await file.close();
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`The report cannot be written to "${path}" (--report): ${reason}.`);
  }
}
