/** The upgrade to a WebSocket, and what the edge says to the token that comes with it: one request, two checks. */
import { PROTOCOL } from "../../codec/limits.ts";
import { exits } from "../config/usage.ts";
import { flawOf, makeToken } from "../connection/refused-token.ts";
import { answeredBy } from "./ask.ts";
import { type Check, fail, type Finding, ok, shortMs, skip, warn } from "./check.ts";
import { type Opening, openSocket } from "./edge-socket.ts";
import type { Scene } from "./scene.ts";

export const upgrade: Check = {
  name: "upgrade",
  title: "upgrade",
  needs: ["edge"],
  target: ({ config }) => `/websocket/${config.service}`,
  run: async (scene) => {
    const opening = await openSocket(scene);
    scene.found.opening = opening;
    return upgraded(scene, opening);
  },
};

export const authentication: Check = {
  name: "authentication",
  title: "authentication",
  needs: ["upgrade"],
  target: ({ config }) => config.service,
  run: async (scene) => {
    const { opening } = scene.found;
    return opening === undefined ? skip("the edge was not asked") : admitted(scene, opening);
  },
};

function upgraded(scene: Scene, opening: Opening): Finding {
  switch (opening.kind) {
    case "open":
      return ok(`101 with ${PROTOCOL} in ${shortMs(opening.ms)}`, { upgradeMs: opening.ms });
    case "mismatch":
      return fail(
        `the edge does not speak ${PROTOCOL}: ${opening.says}`,
        "Bring agent and edge to one version. If they are, something on the way takes Sec-WebSocket-Protocol out of the answer.",
        { exit: exits.version },
      );
    case "unreachable":
      return fail(
        `broken off: ${opening.says}`,
        `HTTP passes and the upgrade does not: ${blame(scene, "")} must let WebSockets through.`,
      );
    case "refused":
      return refused(scene, opening);
  }
}

/** The edge answers 401 only to an upgrade that has arrived whole. */
function refused(scene: Scene, opening: Opening & { readonly kind: "refused" }): Finding {
  const { status, headers, says } = opening;
  const code = headers["sluice-error"];
  const by = answeredBy(headers);
  const data = { status, code, server: headers.server, via: headers.via };
  if (code === "unauthorized" || code === "bad-request") {
    return ok("the edge got the upgrade whole, and answered it", data);
  }
  if (code === "upgrade-required") {
    const details = `426: ${scene.found.software ?? "the edge"} got no upgrade to ${PROTOCOL}`;
    const action = `If edge and agent are of one version, ${blame(scene, by)} takes the upgrade out of the request: have it let WebSockets through. Otherwise update the older of them.`;
    return fail(details, action, { exit: exits.version, data });
  }
  if (typeof code === "string") {
    return fail(`the edge answers ${status} (${code}): ${says}`, "Try again in a moment.", {
      data,
    });
  }
  const details = [`answered with ${status} instead of 101`, by, says === "" ? "" : `"${says}"`];
  return fail(
    details.filter((part) => part !== "").join(", "),
    `That is not the edge's answer: ${blame(scene, by)} must let WebSockets through to ${scene.config.edge.host}.`,
    { data },
  );
}

/** Who may be in the way. */
function blame({ reach }: Scene, by: string): string {
  if (by !== "") return `what calls itself ${by}`;
  return reach.proxy === undefined
    ? "a proxy or firewall on the way"
    : `${reach.proxy.label} or another on the way`;
}

function admitted({ config, found }: Scene, opening: Opening): Finding {
  const { service } = config;
  if (found.token === undefined) return skip("there is no token");
  if (opening.kind === "open") return ok(`the edge took the token as an agent's of "${service}"`);
  if (opening.kind !== "refused") return skip("the edge did not answer");
  const code = opening.headers["sluice-error"];
  if (code === "bad-request") {
    return warn(
      "the token is good; this edge is of a version that cannot be measured",
      "Update the edge: `npm run deploy` with the version of this agent.",
    );
  }
  const flaw = flawOf(found.token, service, Date.now());
  const details = `${opening.status} (${String(code)}): ${flaw ?? "it was not signed with the secret that the edge runs with (TUNNEL_SECRET)"}`;
  const action = `Make another one with ${makeToken(service)}${flaw === undefined ? " and the --secret-file of that edge" : ""}.`;
  return fail(details, action, {
    exit: exits.authentication,
    data: { status: opening.status, code },
  });
}
