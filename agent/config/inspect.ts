/** Whether there is an inspector, and where: on a terminal by default, elsewhere when it was asked for. */
import { type GivenValues, isOn } from "./given.ts";
import { UsageError } from "./usage.ts";

/** The port that was asked for; undefined for no inspector. */
export interface InspectConfig {
  readonly port: number | undefined;
}

/**
 * @param terminal whether somebody sits at a terminal and reads what we print
 * @throws UsageError
 */
export function inspectConfig(
  { inspect, inspectPort, json }: GivenValues,
  terminal: boolean,
): InspectConfig | undefined {
  if (inspect !== undefined && !isOn(inspect)) return undefined;
  const asked = inspect !== undefined || inspectPort !== undefined;
  if (!asked && (isOn(json) || !terminal)) return undefined;
  if (inspectPort === undefined) return { port: undefined };
  const { text, from } = inspectPort;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return { port };
  throw new UsageError(
    `${from} must be a whole number from 0 to 65535, not ${JSON.stringify(text)}; 0 lets the system choose.`,
  );
}
