/**
 * The page at /status/<service> of all the service's objects: their agents in one list, their numbers added up.
 */
import { PROTOCOL } from "../codec/limits.ts";
import { SOFTWARE } from "./env.ts";

/** What one object's page has that is added up or listed: see `status.ts`. */
interface Page {
  readonly agents: readonly object[];
  readonly streams: number;
  readonly waiting: number;
  readonly bufferedBytes: number;
  readonly retainedBytes: number;
  readonly promisedBytes: number;
  readonly totals: Totals;
}

interface Totals {
  readonly since: number;
  readonly requests: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly bytesFromVisitors: number;
  readonly bytesToVisitors: number;
}

/**
 * Asks every object with `ask` and answers for all of them.
 * @returns a refusal as it is when not one has a page; else `unavailable` names the shards that have none
 */
export async function statusOfShards(
  service: string,
  shards: number,
  ask: (shard: number) => Promise<Response>,
): Promise<Response> {
  const answers = await Promise.all(Array.from({ length: shards }, (_, shard) => ask(shard)));
  const pages = await Promise.all(
    answers.map(async (answer) => (answer.ok ? answer.json<Page>() : undefined)),
  );
  const here = pages.filter((page) => page !== undefined);
  const [refused] = answers;
  if (here.length === 0 && refused !== undefined) return refused;
  const page = {
    service,
    at: Date.now(),
    shards,
    unavailable: pages.flatMap((found, shard) => (found === undefined ? [shard] : [])),
    agents: pages.flatMap((found, shard) => found?.agents.map((row) => ({ shard, ...row })) ?? []),
    streams: sum(here.map(({ streams }) => streams)),
    waiting: sum(here.map(({ waiting }) => waiting)),
    bufferedBytes: sum(here.map(({ bufferedBytes }) => bufferedBytes)),
    retainedBytes: sum(here.map(({ retainedBytes }) => retainedBytes)),
    promisedBytes: sum(here.map(({ promisedBytes }) => promisedBytes)),
    totals: together(here.map(({ totals }) => totals)),
    versions: { edge: SOFTWARE, protocol: PROTOCOL },
  };
  return Response.json(page, { headers: { "cache-control": "no-store" } });
}

/** `since` is when the first of them woke. */
function together(all: readonly Totals[]): Totals {
  const failures: Record<string, number> = {};
  for (const each of all) {
    for (const [code, count] of Object.entries(each.failures)) {
      failures[code] = (failures[code] ?? 0) + count;
    }
  }
  return {
    since: Math.min(...all.map(({ since }) => since)),
    requests: sum(all.map(({ requests }) => requests)),
    failures,
    bytesFromVisitors: sum(all.map(({ bytesFromVisitors }) => bytesFromVisitors)),
    bytesToVisitors: sum(all.map(({ bytesToVisitors }) => bytesToVisitors)),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
