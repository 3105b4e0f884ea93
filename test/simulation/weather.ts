/**
 * What befalls a tunnel while it works: faults of networks and processes, drawn one by one. Gentle ones must not fail a
 * single exchange; harsh ones may, visibly.
 */
import type { Frame } from "../../codec/frame.ts";
import { MessageWriter } from "../../codec/wire.ts";
import type { Agent } from "./agent.ts";
import { Cable } from "./cable.ts";
import type { Setting } from "./setting.ts";

type Fault = (setting: Setting, agent: Agent) => void;

/** How late an end may notice a dead socket so that the other's grace is not over: see `agent/connection/dial.ts`, pings while busy. */
const NOTICED_MS = 8000;

const gentle: Record<string, Fault> = {
  cut({ world: { random } }, agent) {
    agent.cut(random.next() * 100, random.next() * 100);
  },
  cutThatTheEdgeMisses({ world: { random } }, agent) {
    agent.cut(random.next() * 100, random.next() * 60_000);
  },
  cutThatTheAgentMisses({ world: { random } }, agent) {
    agent.cut(random.next() * NOTICED_MS, random.next() * 100);
  },
  cutThatBothMiss({ world: { random } }, agent) {
    agent.cut(random.next() * NOTICED_MS, random.next() * NOTICED_MS);
  },
  cutsInARow({ world: { random } }, agent) {
    agent.fragileDials = random.between(1, 4);
    agent.cut(random.next() * 10, random.next() * 10);
  },
  stall({ world: { random } }, agent) {
    agent.cable?.stall(random.pick(["up", "down"]), random.next() * 5000);
  },
  redial(_setting, agent) {
    agent.redial();
  },
  redialTwice({ world }, agent) {
    agent.redial();
    world.after(world.random.next() * 300, () => agent.redial());
  },
  sleep({ edge, agents }) {
    // An object sleeps after ten seconds in which nothing came, never in the middle of an agent's farewell. By then an agent
    // that waits for the rest of a request has it, or has noticed that its socket is dead.
    const leaving = agents.some(({ gone, draining }) => draining && !gone);
    const waiting = agents.some(({ gone, dialer }) => !gone && dialer.streams > 0);
    if (edge.idle && !leaving && !waiting) edge.sleep();
  },
  /** Another socket of the same agent, of which nothing is ever heard. */
  silentSocket({ world, network, edge }, agent) {
    const cable = new Cable(world, network, `silent ${agent.name}`);
    edge.connect(cable.edge, agent.name, false);
    world.after(world.random.next() * 12_000, () => cable.edge.lose(1006, ""));
  },
  /** Somebody else names a session that is not theirs. */
  forgedHello(setting, agent) {
    const { world, blame } = setting;
    blame.codes("overloaded");
    forgeHello(setting, "somebody else", {
      session: agent.dialer.session?.id ?? "",
      received: world.random.between(0, 10),
      maxStreams: 0,
    });
  },
  /** Somebody with the agent's identity has received what was never sent. */
  impossibleHello(setting, agent) {
    const session = agent.dialer.session?.id;
    if (session === undefined || !agent.dialer.greeted) return;
    agent.impersonated = true;
    forgeHello(setting, agent.name, { session, received: 1e9, maxStreams: 100 });
  },
  /** The agent's own HELLO comes once more over another socket. */
  repeatedHello(setting, agent) {
    const session = agent.dialer.session;
    if (session === undefined || !agent.dialer.greeted) return;
    const { received } = session;
    agent.impersonated = true;
    forgeHello(setting, agent.name, { session: session.id, received, maxStreams: 2048 });
  },
  /** What an old socket still brings after it was lost. */
  deadSocketSpeaks({ world, edge }, agent) {
    const cable = agent.cable;
    if (cable === undefined) return;
    agent.cut(0, 0);
    world.after(world.random.next() * 500, () => {
      edge.hear(cable.edge, encoded({ kind: "cancel", stream: 1, code: "cancelled", note: "" }));
      agent.dialer.receive(cable.agent, encoded({ kind: "end", stream: 1, trailers: [] }));
    });
  },
};

const harsh: Record<string, Fault> = {
  evict({ edge }) {
    edge.evict();
  },
  kill(setting, agent) {
    const { world } = setting;
    agent.kill();
    if (world.random.chance(0.8)) {
      world.after(world.random.next() * 20_000, () => setting.newAgent(false));
    }
  },
  outage({ world, blame }, agent) {
    blame.everything();
    agent.offlineUntilMs = world.nowMs + world.random.next() * 40_000;
    agent.cut(world.random.next() * NOTICED_MS, world.random.next() * 60_000);
  },
  /** The agent ends its session by a fault of its own, and cannot say so. */
  amnesia({ world: { random }, blame }, agent) {
    blame.agent(agent.name);
    blame.codes("agent-offline");
    agent.cut(random.next() * 100, random.next() * 30_000);
    agent.dialer.end("internal-error", "");
  },
  drain(setting, agent) {
    agent.drain();
    const { world } = setting;
    world.after(world.random.next() * 5000, () => setting.newAgent(false));
  },
  replace(setting) {
    setting.blame.codes("draining");
    setting.newAgent(true);
  },
  longStall({ world: { random }, blame }, agent) {
    blame.everything();
    agent.cable?.stall(random.pick(["up", "down"]), random.next() * 40_000);
  },
  garbageToEdge({ world, blame }, agent) {
    blame.agent(agent.name);
    blame.codes("agent-offline");
    agent.cable?.forge(
      "edge",
      garbage(world.random.between(0, 40), () => world.random.next()),
    );
  },
  garbageToAgent({ world, blame }, agent) {
    blame.agent(agent.name);
    blame.codes("agent-offline");
    agent.cable?.forge(
      "agent",
      garbage(world.random.between(0, 40), () => world.random.next()),
    );
  },
  strayFrames(setting, agent) {
    const { world, blame } = setting;
    const { random } = world;
    setting.world.deceived = true;
    blame.agent(agent.name);
    blame.codes("agent-offline", "draining");
    const stream = random.between(1, 30);
    const frame = random.pick<Frame>([
      { kind: "ack", received: random.between(0, 50) },
      { kind: "credit", stream, bytes: random.between(1, 2 ** 31 - 1) },
      { kind: "data", stream, bytes: new Uint8Array(random.between(1, 100_000)) },
      { kind: "end", stream, trailers: [] },
      { kind: "cancel", stream, code: "cancelled", note: "forged" },
      { kind: "response", stream, head: { status: 200, reason: "", headers: [], length: 5 } },
      {
        kind: "request",
        stream,
        credit: 10,
        head: { method: "GET", path: "/1", headers: [], length: "none" },
      },
      { kind: "goaway", last: 0, code: "draining", note: "forged" },
      { kind: "pong", token: random.between(0, 2 ** 31 - 1) },
    ]);
    // An edge that lies to an agent could have it serve anything twice.
    agent.cable?.forge("edge", encoded(frame));
  },
  secondHello({ world, blame }, agent) {
    blame.agent(agent.name);
    // It ends the session, or becomes the greeting of a socket that has none, with its limits.
    blame.codes("agent-offline", "overloaded");
    const session = agent.dialer.session?.id ?? "";
    const to = world.random.pick(["edge", "agent"] as const);
    if (to === "agent") world.deceived = true;
    agent.cable?.forge(to, hello({ session, received: 0, maxStreams: 9 }));
  },
  /** Somebody with the agent's token takes requests and never answers. */
  impostor(setting, agent) {
    setting.blame.everything();
    // The session of the agent itself stays eclipsed: it learns nothing of that.
    setting.world.deceived = true;
    forgeHello(setting, agent.name, {
      session: setting.world.random.chance(0.5) ? "" : (agent.dialer.session?.id ?? ""),
      received: setting.world.random.between(0, 3),
      maxStreams: 100,
    });
  },
};

/** Names of all faults, for statistics. */
export const faultNames = [...Object.keys(gentle), ...Object.keys(harsh)];

/** Lets one fault befall one agent. */
export function befall(setting: Setting, allowHarsh: boolean): void {
  const { random } = setting.world;
  const agents = setting.agents.filter((agent) => !agent.gone);
  if (agents.length === 0) return;
  const faults = allowHarsh && random.chance(0.4) ? harsh : gentle;
  const name = random.pick(Object.keys(faults));
  setting.world.note(`-- ${name}`);
  faults[name]?.(setting, random.pick(agents));
}

interface Greeting {
  readonly session: string;
  readonly received: number;
  readonly maxStreams: number;
}

/** Opens a socket as `identity`, greets, and says nothing more until it is lost. */
function forgeHello({ world, network, edge }: Setting, identity: string, greeting: Greeting): void {
  const cable = new Cable(world, network, `forged ${identity}`);
  edge.connect(cable.edge, identity, false);
  cable.forge("edge", hello(greeting));
  world.after(1000 + world.random.next() * 10_000, () => cable.edge.lose(1006, ""));
}

function hello(greeting: Greeting): Uint8Array {
  return encoded({ kind: "hello", credit: 16_384, grace: 0, software: "forged", ...greeting });
}

function encoded(frame: Frame): Uint8Array {
  const writer = new MessageWriter();
  writer.add(frame);
  return writer.take((bytes) => new Uint8Array(bytes));
}

/** Bytes that are no frame: msgpack never uses the first of them. */
function garbage(bytes: number, random: () => number): Uint8Array {
  const message = Uint8Array.from({ length: bytes }, () => Math.floor(random() * 256));
  if (bytes > 0) message[0] = 0xc1;
  return message;
}
