/** HTTP: whether what answers at the edge's URL is an edge of ours, and of which version. */
import { exits } from "../config/usage.ts";
import { Unreachable } from "../connection/unreachable.ts";
import { type ClientError, faultReason } from "../origin/fault.ts";
import { type Answered, answeredBy, ask, headline } from "./ask.ts";
import { type Check, fail, type Finding, ok, shortMs, WITHIN_MS } from "./check.ts";
import type { Scene } from "./scene.ts";

/** With more objects than this nobody is asked who is connected: each would wake. */
const MOST_ASKED = 16;

export const edge: Check = {
  name: "edge",
  title: "edge",
  needs: ["tls"],
  target: ({ config }) => config.edge.origin,
  run: look,
};

async function look(scene: Scene): Promise<Finding> {
  let answered: Answered;
  try {
    answered = await ask(scene, `/shards/${scene.config.service}`, WITHIN_MS);
  } catch (error) {
    return silent(error as ClientError);
  }
  const { headers, ms } = answered;
  const shards = Number(headers["sluice-shards"]);
  if (headers["sluice-shards"] !== undefined && Number.isInteger(shards)) {
    const software = String(headers["sluice-edge"] ?? "an edge that does not tell its version");
    scene.found.software = software;
    const agents = shards <= MOST_ASKED ? await connectedAgents(scene) : undefined;
    const spread = shards === 1 ? "" : `, ${shards} objects`;
    const who = agents === undefined ? "" : `, ${countOf(agents)}`;
    const data = { software, shards, answerMs: ms, agents };
    return ok(`${software} answered in ${shortMs(ms)}${spread}${who}`, data);
  }
  const code = headers["sluice-error"];
  return typeof code === "string" ? ours(scene, answered, code) : foreign(answered);
}

/** The edge has answered, with a refusal. */
function ours(scene: Scene, { status, ms }: Answered, code: string): Finding {
  const data = { status, code, answerMs: ms };
  scene.found.software = "the edge";
  if (code === "unauthorized") {
    return ok(
      `a Sluice edge answered in ${shortMs(ms)}; its version is for holders of a good token`,
      data,
    );
  }
  if (code === "no-route") {
    return fail(
      "a Sluice edge answers, of a version before this agent's",
      "Update the edge: `npm run deploy` with the version of this agent.",
      { exit: exits.version, data },
    );
  }
  const action =
    code === "internal-error"
      ? "Look at the edge's log (`npx wrangler tail`, or the terminal of `agent edge`): a secret or a variable that is missing or wrong says so there."
      : "Try again in a moment; look at the edge's log if it stays so.";
  return fail(`the edge answers ${status} (${code})`, action, { data });
}

/** Somebody else has answered. */
function foreign({ status, headers, body }: Answered): Finding {
  const by = answeredBy(headers);
  const says = headline(body);
  const details = [`no Sluice edge: ${status}`, by, says === "" ? "" : `"${says}"`]
    .filter((part) => part !== "")
    .join(", ");
  const data = { data: { status, server: headers.server, via: headers.via } };
  const location = headers.location;
  if (status >= 300 && status < 400 && location !== undefined && URL.canParse(location)) {
    return fail(details, `It leads to ${new URL(location).origin}: give that as --edge.`, data);
  }
  if (/plain HTTP request|HTTPS port/i.test(body)) {
    return fail(details, "Give --edge as https://.", data);
  }
  if (headers["cf-mitigated"] !== undefined || (/cloudflare/i.test(by) && status === 403)) {
    const action =
      "Cloudflare stops requests before the Worker: leave out --edge's host from bot protection, WAF rules and Access.";
    return fail(details, action, data);
  }
  if (status >= 500) {
    return fail(
      details,
      "A gateway answers and what is behind it does not: is the edge running?",
      data,
    );
  }
  return fail(
    details,
    "Give --edge as `agent edge` or `npm run deploy` prints it. If it is right, something on the way answers in its place.",
    data,
  );
}

function silent(error: ClientError): Finding {
  if (error.name === "AbortError" || error.name === "TimeoutError") {
    return fail(
      `no answer within ${WITHIN_MS / 1000} s`,
      "What listens there takes connections and says nothing: is --edge right? A firewall may hold back what it does not know.",
    );
  }
  if (error.code?.startsWith("HPE_") === true) {
    return fail(
      `what answers is no HTTP (${error.code})`,
      "Another server listens there: is the port in --edge right?",
    );
  }
  const details = error instanceof Unreachable ? error.message : faultReason(error);
  return fail(
    `the connection ended without an answer: ${details}`,
    "If the edge speaks TLS, give --edge as https://. Otherwise another server listens there, or something on the way breaks HTTP off.",
  );
}

/** Those that the status page tells of; undefined when it does not. */
async function connectedAgents(scene: Scene): Promise<readonly unknown[] | undefined> {
  try {
    const { body } = await ask(scene, `/status/${scene.config.service}`, WITHIN_MS);
    const page = JSON.parse(body) as { readonly agents?: unknown };
    return Array.isArray(page.agents) ? page.agents : undefined;
  } catch {
    return undefined;
  }
}

function countOf(agents: readonly unknown[]): string {
  if (agents.length === 0) return "no agent is connected";
  return agents.length === 1 ? "1 agent is connected" : `${agents.length} agents are connected`;
}
