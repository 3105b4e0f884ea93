/**
 * The other end of the bare WebSockets of `worker.js`: sends the pattern when told to, checks it when it arrives.
 *
 * Parameters: the port, how many sockets, "zero" or "random" for the masking key, and the origin's port.
 */
import { Pool } from "undici";
import { WebSocket } from "ws";
import { Checker } from "../site/checker.ts";
import { slice, smallBody } from "../site/pattern.ts";

/** As much as the agent lets wait for its socket. */
const FULL_BYTES = 256 * 1024;

const [port = "", sockets = "", mask = "", origin = ""] = process.argv.slice(2);

const pool = new Pool(`http://127.0.0.1:${origin}`);

async function fetchSmall(id: string): Promise<string> {
  const { body } = await pool.request({ method: "GET", path: `/small/${id}` });
  return body.text();
}

async function open(): Promise<void> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`, {
    perMessageDeflate: false,
    ...(mask === "zero" ? { generateMask: (key: Buffer) => void key.fill(0) } : {}),
  });
  let checker = new Checker();
  let stopped = false;
  ws.on("message", (data: Buffer, isBinary) => {
    if (isBinary) {
      checker.push(data);
      return;
    }
    const [word, number, operand = ""] = data.toString().split(" ");
    if (word === "send") {
      stopped = false;
      send(ws, Number(number), Number(operand), () => stopped);
    } else if (word === "stop") {
      stopped = true;
    } else if (word === "ask") {
      ws.send(`${number} ${smallBody(operand)}`);
    } else if (word === "fetch") {
      void fetchSmall(operand).then((body) => ws.send(`${number} ${body}`));
    } else if (word === "receive") {
      checker = new Checker();
    } else {
      ws.send(`received ${checker.bytes}`);
    }
  });
  await new Promise((resolve) => ws.on("open", resolve));
}

function send(ws: WebSocket, bytes: number, messageBytes: number, stopped: () => boolean): void {
  let sent = 0;
  let waiting = false;
  const go = (): void => {
    waiting = false;
    while (sent < bytes && !stopped()) {
      if (ws.bufferedAmount >= FULL_BYTES) {
        waiting = true;
        return;
      }
      const message = slice(sent, Math.min(messageBytes, bytes - sent));
      sent += message.length;
      ws.send(message, () => {
        if (waiting && ws.bufferedAmount < FULL_BYTES) go();
      });
    }
    ws.send("done");
  };
  go();
}

await Promise.all(Array.from({ length: Number(sockets) }, open));
console.log("ready");
