/**
 * The other end of the bare relay of `worker.js`: a WebSocket for each visitor. The first text on it says what the visitor
 * wants: "echo" or "origin" for a WebSocket, whose messages follow as they are, and the same with an interval and a count for an
 * event stream. "stop" ends it, and "done" says that it has ended: then the next visitor may have the socket.
 *
 * Parameters: the port, how many sockets, and the origin's port.
 */
import { Pool } from "undici";
import { WebSocket } from "ws";

const [port = "", sockets = "", origin = ""] = process.argv.slice(2);

const pool = new Pool(`http://127.0.0.1:${origin}`);
const options = { perMessageDeflate: false };

/** What a visitor is joined to. */
interface Joint {
  take(message: string): void;
  stop(): void;
}

function joined(ws: WebSocket, order: string, ended: () => void): Joint {
  const [how, everyMs = "", count = ""] = order.split(" ");
  if (everyMs === "") return how === "echo" ? echo(ws, ended) : toOrigin(ws, ended);
  if (how === "echo") return events(ws, Number(everyMs), Number(count), ended);
  return eventsOfOrigin(ws, `/events/${everyMs}/${count}`, ended);
}

function echo(ws: WebSocket, ended: () => void): Joint {
  return { take: (message) => ws.send(message), stop: ended };
}

function toOrigin(ws: WebSocket, ended: () => void): Joint {
  const further = new WebSocket(`ws://127.0.0.1:${origin}/echo`, options);
  const early: string[] = [];
  further.on("open", () => {
    for (const message of early) further.send(message);
  });
  further.on("message", (data: Buffer) => ws.send(data.toString()));
  further.on("close", ended);
  return {
    take: (message) => {
      if (further.readyState === WebSocket.OPEN) further.send(message);
      else early.push(message);
    },
    stop: () => further.close(),
  };
}

function events(ws: WebSocket, everyMs: number, count: number, ended: () => void): Joint {
  let left = count;
  const stop = (): void => {
    clearInterval(timer);
    ended();
  };
  const timer = setInterval(() => {
    ws.send(`data: ${process.hrtime.bigint()}\n\n`);
    if (--left === 0) stop();
  }, everyMs);
  return { take: () => {}, stop };
}

function eventsOfOrigin(ws: WebSocket, path: string, ended: () => void): Joint {
  const controller = new AbortController();
  const pass = async (): Promise<void> => {
    const { body } = await pool.request({ method: "GET", path, signal: controller.signal });
    for await (const piece of body) ws.send((piece as Buffer).toString("latin1"));
  };
  void pass()
    .catch(() => {})
    .then(ended);
  return { take: () => {}, stop: () => controller.abort() };
}

async function open(): Promise<void> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/awake`, {
    ...options,
    generateMask: (key) => void key.fill(0),
  });
  let joint: Joint | undefined;
  ws.on("message", (data: Buffer) => {
    const text = data.toString();
    if (text === "stop") joint?.stop();
    else if (joint !== undefined) joint.take(text);
    else {
      joint = joined(ws, text, () => {
        if (joint === undefined) return;
        joint = undefined;
        ws.send("done");
      });
    }
  });
  await new Promise((resolve) => ws.on("open", resolve));
}

await Promise.all(Array.from({ length: Number(sockets) }, open));
console.log("ready");
