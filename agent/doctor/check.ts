/**
 * What a check is, and what it finds. Each file beside this one is one check, or what several of them need.
 */
import { type ExitCode, exits } from "../config/usage.ts";
import type { Scene } from "./scene.ts";

export type CheckName =
  | "configuration"
  | "token"
  | "dns"
  | "tcp"
  | "proxy"
  | "tls"
  | "edge"
  | "upgrade"
  | "authentication"
  | "round-trip"
  | "throughput"
  | "idle"
  | "origin";

/** `skip`: there was nothing to look at, or nothing that it could have told. */
export type Status = "ok" | "warn" | "fail" | "skip";

export interface Finding {
  readonly status: Status;
  /** One line: what was seen. */
  readonly details: string;
  /** What to do about it. */
  readonly action?: string;
  /** What the command ends with because of it. */
  readonly exit?: ExitCode;
  /** What was measured, for programs. */
  readonly data?: Data;
}

export type Data = Readonly<Record<string, unknown>>;

export interface Check {
  readonly name: CheckName;
  /** What people call it. */
  readonly title: string;
  /** Without these it could tell nothing. */
  readonly needs: readonly CheckName[];
  /** What is looked at. */
  readonly target: (scene: Scene) => string;
  /** Throws only for a fault of our own. */
  readonly run: (scene: Scene) => Promise<Finding>;
}

export function ok(details: string, data: Data = {}): Finding {
  return { status: "ok", details, data };
}

export function warn(details: string, action: string, data: Data = {}): Finding {
  return { status: "warn", details, action, data };
}

export function fail(
  details: string,
  action: string,
  more: { readonly exit?: ExitCode; readonly data?: Data } = {},
): Finding {
  return { status: "fail", details, action, exit: exits.runtime, ...more };
}

export function skip(details: string): Finding {
  return { status: "skip", details };
}

/** How long one connection, or one answer, may take. */
export const WITHIN_MS = 10_000;

/** Milliseconds since `startMs` of `performance.now()`, with as many digits as mean something. */
export function sinceMs(startMs: number): number {
  return Math.round((performance.now() - startMs) * 100) / 100;
}

/** A time with digits where they matter: round trips on one machine are below a millisecond. */
export function shortMs(ms: number): string {
  return `${ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0)} ms`;
}
