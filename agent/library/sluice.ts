/** All that `import … from "sluice"` gives. Names and fields are a contract: extend, never rename. */
export type { AgentCode } from "../codes.ts";
export type { RequestEvent, RequestOutcome, TunnelEvent } from "../events.ts";
export type { Handler } from "../origin/handler.ts";
export { connect } from "./connect.ts";
export { ConnectError } from "./errors.ts";
export type { ConnectOptions, Duration, Origin } from "./options.ts";
export type { CloseOptions, Tunnel } from "./tunnel.ts";
