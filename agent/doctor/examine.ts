/**
 * All checks of one service, in the order in which one rests on another, and what they come to.
 *
 * It prints nothing: who calls it is told of each check as it begins and ends.
 */
import { type ExitCode, exits, UsageError } from "../config/usage.ts";
import { type Check, type CheckName, fail, type Finding, ok, sinceMs, skip } from "./check.ts";
import { dns } from "./dns.ts";
import { edge } from "./edge.ts";
import { idle } from "./idle.ts";
import { origin } from "./origin.ts";
import { proxy } from "./proxy.ts";
import { roundTrip } from "./round-trip.ts";
import type { Scene } from "./scene.ts";
import { tcp } from "./tcp.ts";
import { throughput } from "./throughput.ts";
import { tls } from "./tls.ts";
import { token } from "./token.ts";
import { authentication, upgrade } from "./upgrade.ts";

const checks: readonly Check[] = [
  token,
  dns,
  tcp,
  proxy,
  tls,
  edge,
  upgrade,
  authentication,
  roundTrip,
  throughput,
  idle,
  origin,
];

/** A check that is over. */
export interface Result {
  readonly name: CheckName;
  readonly title: string;
  readonly target: string;
  readonly finding: Finding;
  readonly ms: number;
  /** The failure for which it was left out. */
  readonly because?: string;
}

export interface Witness {
  readonly begins: (title: string, target: string) => void;
  readonly ends: (result: Result) => void;
}

/** What was found, in order. `configure` throws UsageError for what `agent connect` could not be started with. */
export async function examine(configure: () => Scene, witness: Witness): Promise<Result[]> {
  const results: Result[] = [];
  const add = (result: Result): void => {
    results.push(result);
    witness.ends(result);
  };
  const startMs = performance.now();
  let scene: Scene | undefined;
  const found = configuration(() => (scene = configure()));
  const ms = sinceMs(startMs);
  const common = { name: "configuration", title: "configuration" } as const;
  add({ ...common, target: scene?.config.service ?? "", finding: found, ms });
  const lost = new Map<CheckName, string>();
  if (scene === undefined) lost.set("configuration", "configuration");
  for (const check of checks) add(await one(check, scene, lost, witness));
  if (scene?.found.opening?.kind === "open") scene.found.opening.socket.leave();
  return results;
}

function configuration(configure: () => Scene): Finding {
  try {
    const { config, hasOrigin } = configure();
    const where = hasOrigin ? `, ${config.origin.label}${config.basePath}` : "";
    return ok(`${config.edge.origin}${where}`);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const action = "Correct that; `agent doctor --help` lists every flag and its variable.";
    return fail(error.message, action, { exit: exits.usage });
  }
}

/** @param lost the checks that came to nothing, and because of which other one */
async function one(
  check: Check,
  scene: Scene | undefined,
  lost: Map<CheckName, string>,
  witness: Witness,
): Promise<Result> {
  const { name, title } = check;
  const because = check.needs.map((each) => lost.get(each)).find((each) => each !== undefined);
  if (because !== undefined) lost.set(name, because);
  if (scene === undefined || because !== undefined) {
    const target = scene === undefined ? "" : check.target(scene);
    const cause = because ?? "configuration";
    return { name, title, target, finding: skip(`${cause} failed`), ms: 0, because: cause };
  }
  const target = check.target(scene);
  witness.begins(title, target);
  const startMs = performance.now();
  const finding = await check.run(scene).catch(ours);
  if (finding.status === "fail") lost.set(name, title);
  return { name, title, target, finding, ms: sinceMs(startMs) };
}

/** One check that breaks is no reason to leave out the others. */
function ours(error: unknown): Finding {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return fail(
    `a fault of the doctor's own: ${what.replaceAll(/\s*\n\s*/g, " ")}`,
    "Please report it, with what --report writes.",
  );
}

/** What the command ends with: the first failure decides. */
export function exitOf(results: readonly Result[]): ExitCode {
  const failed = results.find(({ finding }) => finding.status === "fail");
  return failed === undefined ? exits.clean : (failed.finding.exit ?? exits.runtime);
}

/** One line for a person. */
export function summaryOf(results: readonly Result[]): string {
  const titles = (status: Finding["status"]): string[] =>
    results.filter(({ finding }) => finding.status === status).map(({ title }) => title);
  const failed = titles("fail");
  const warned = titles("warn");
  const fine = titles("ok").length;
  if (failed.length === 0 && warned.length === 0) return `All is well: ${fine} checks passed.`;
  const parts = [
    ...(failed.length === 0 ? [] : [`${failed.length} failed (${failed.join(", ")})`]),
    ...(warned.length === 0 ? [] : [`${warned.length} to look at (${warned.join(", ")})`]),
    `${fine} passed`,
  ];
  const all = `${parts.join(", ")}.`;
  // Where there is one, it stands right above.
  if (failed.length < 2) return all;
  const first = results.find(({ finding }) => finding.status === "fail")?.finding.action ?? "";
  return `${all} First: ${first}`;
}
