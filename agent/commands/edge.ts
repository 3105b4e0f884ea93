/**
 * `agent edge`: the Worker and its objects in a workerd of this machine.
 *
 * SIGINT and SIGTERM let what is in flight finish; SIGHUP puts another workerd in the place of the one that runs, with what
 * the files say now.
 */
import { type EdgeConfig, edgeConfig } from "../config/config.ts";
import type { GivenValues } from "../config/given.ts";
import { isLoopback } from "../config/loopback.ts";
import { readKeypair } from "../config/pem.ts";
import { type SecretSource, secretSource } from "../config/secret.ts";
import { type ExitCode, exits } from "../config/usage.ts";
import type { EdgeLine } from "../edge-here/edge-lines.ts";
import { inheritedSocket } from "../edge-here/inherited-socket.ts";
import type { Edge } from "../edge-here/workerd.ts";
import type { EdgeParts } from "../edge-here/workerd-config.ts";
import { onHangup, onSignals } from "../signals.ts";
import { seconds } from "../terminal/lines.ts";
import type { Log } from "../terminal/log.ts";
import type { OpenLog } from "../terminal/open-log.ts";

/** @throws UsageError, EdgeError */
export async function edge(given: GivenValues, { log, live }: OpenLog): Promise<ExitCode> {
  const config = edgeConfig(given);
  const parts = new Parts(config, given, log);
  let running: Edge | undefined;
  let leaving = false;
  onSignals(
    () => {
      leaving = true;
      // What is not there yet goes with the process.
      if (running === undefined) process.exit(exits.clean);
      const most = seconds(config.drainMs);
      log.say(`draining: up to ${most} for what is in flight (Ctrl-C again to stop now)`);
      void running.drain(config.drainMs);
    },
    () => void running?.stop(),
  );
  if (live !== undefined) {
    const { listenForKeys } = await import("../terminal/hotkeys.ts");
    listenForKeys({ log, live, secretFile: given["secretFile"] });
  }
  log.live("starting the edge");
  const { startEdge } = await import("../edge-here/workerd.ts");
  const { tellEdgeLine } = await import("../edge-here/edge-lines.ts");
  const first = await parts.read();
  const heard = (line: EdgeLine): void => tellEdgeLine(line, log);
  running = await startEdge(config, first, heard);
  const end = Promise.withResolvers<void>();
  const follow = (next: Edge): void => {
    running = next;
    log.event({ event: "listening", url: next.url });
    // One that has a successor ends without consequences.
    next.ended.then(
      () => running === next && end.resolve(),
      (error: unknown) => running === next && end.reject(error as Error),
    );
  };
  follow(running);
  tell(running.url, config, first.inherited !== undefined, log);
  live?.sayHint();

  const replace = async (before: Edge): Promise<void> => {
    // A file that cannot be used changes nothing.
    const now = await parts.read();
    if (now.inherited === undefined) {
      // Nobody else can listen as long as it does.
      running = undefined;
      await before.drain(config.drainMs);
      const { port } = new URL(before.url);
      follow(await startEdge({ ...config, port: Number(port) }, now, heard));
    } else {
      const next = await startEdge(config, now, heard);
      if (leaving) return next.stop();
      follow(next);
      void before.drain(config.drainMs);
    }
    log.say("reloaded");
  };
  let replacing = false;
  onHangup(() => {
    if (running === undefined || replacing || leaving) return;
    replacing = true;
    log.say("reloading");
    replace(running)
      .catch((error: unknown) => {
        if (running === undefined) end.reject(error as Error);
        const message = error instanceof Error ? error.message : String(error);
        log.event({ event: "error", code: "failed", message: `Nothing was reloaded: ${message}` });
      })
      .finally(() => (replacing = false));
  });
  await end.promise;
  return exits.clean;
}

function tell(
  url: string,
  { host, domain, visitors }: EdgeConfig,
  inherited: boolean,
  log: Log,
): void {
  log.url(url);
  log.field("Edge", url);
  const { protocol, port } = new URL(url);
  const hosts = domain === undefined ? "" : ` and ${protocol}//<service>.${domain}:${port}/`;
  log.say(`listening; services are at ${url}/send/<service>/${hosts}`);
  // Not by the URL, which says 127.0.0.1 for all addresses too. Where a socket listens that we were handed we do not know.
  const here = new URL(`http://${host.includes(":") ? `[${host}]` : host}`);
  const whose = !inherited && isLoopback(here) ? "on this machine" : "who reaches this machine";
  log.say(
    visitors === "token"
      ? "Only who has a token reaches them; `agent token --role visitor` makes one."
      : `Everybody ${whose} reaches them; --visitors token lets in only who has a token.`,
  );
}

/** What is in files: read at the start, and again when it may have changed. */
class Parts {
  readonly #config: EdgeConfig;
  readonly #current: Omit<SecretSource, "what">;
  readonly #previous: Omit<SecretSource, "what">;
  readonly #log: Log;
  /** One that came from stdin comes only once. */
  #fromStdin: string | undefined;

  constructor(config: EdgeConfig, given: GivenValues, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#current = secretSource(given["secretFile"], "TUNNEL_SECRET");
    this.#previous = secretSource(given["previousSecretFile"], "TUNNEL_SECRET_PREVIOUS");
  }

  /** @throws UsageError */
  async read(): Promise<EdgeParts> {
    const { tls } = this.#config;
    const { edgeSecret, previousSecret } = await import("../edge-here/edge-secret.ts");
    const current = this.#fromStdin ?? (await edgeSecret(this.#config, this.#current, this.#log));
    if (this.#current.file === "-") this.#fromStdin = current;
    return {
      secrets: { current, previous: await previousSecret(this.#previous, this.#log) },
      keypair: tls === undefined ? undefined : readKeypair(tls.cert, tls.key),
      inherited: inheritedSocket(process.env, process.pid),
    };
  }
}
