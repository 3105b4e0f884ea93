/** The status page of a service, as the holder of its token reads it. */
import { exports } from "cloudflare:workers";
import { signToken } from "./token.ts";

export interface Page {
  readonly service: string;
  readonly agents: readonly Record<string, unknown>[];
  readonly waiting: number;
  readonly promisedBytes: number;
  readonly retainedBytes: number;
  readonly totals: Record<string, unknown>;
  readonly versions: Record<string, string>;
}

export async function statusOf(service: string): Promise<Page> {
  const token = await signToken({ service });
  const headers = { authorization: `Bearer ${token}` };
  const response = await exports.default.fetch(`https://edge.test/status/${service}`, { headers });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return response.json<Page>();
}

/** The page as soon as it is as a test wants it. Each look is a request: no timer is needed for it. */
export async function statusWhen(
  service: string,
  matches: (page: Page) => boolean,
  looks = 5000,
): Promise<Page> {
  for (let look = 0; look < looks; look++) {
    const page = await statusOf(service);
    if (matches(page)) return page;
  }
  throw new Error(`in vain: ${JSON.stringify(await statusOf(service))}`);
}
