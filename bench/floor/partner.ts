/**
 * The other end of the bare WebSockets of `worker.js`: sends the pattern when told to, checks it when it arrives; or has it
 * from the origin and gives it to that, by the clients that the agent uses.
 *
 * Parameters: the port, how many sockets, "zero" or "random" for the masking key, and the origin's port.
 */
import { type ClientRequest, request as httpRequest } from "node:http";
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
  let upload: ClientRequest | undefined;
  ws.on("message", (data: Buffer, isBinary) => {
    if (isBinary) {
      if (upload === undefined) checker.push(data);
      else upload.write(data);
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
    } else if (word === "fetch" && operand === "") {
      stopped = false;
      fetchBytes(ws, Number(number), () => stopped);
    } else if (word === "forward") {
      upload = forward((said) => ws.send(said));
    } else if (word === "done" && upload !== undefined) {
      upload.end();
      upload = undefined;
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

/** Bytes of the origin as they come. */
function fetchBytes(ws: WebSocket, bytes: number, stopped: () => boolean): void {
  let paused = false;
  const options = { method: "GET", path: `/bytes/${bytes}` } as const;
  pool.dispatch(options, {
    onRequestStart: () => {},
    onResponseStart: () => {},
    onResponseData: (controller, chunk) => {
      if (stopped()) {
        controller.abort(new Error("nobody wants the rest"));
        return;
      }
      ws.send(chunk, () => {
        if (!paused || ws.bufferedAmount >= FULL_BYTES) return;
        paused = false;
        controller.resume();
      });
      if (paused || ws.bufferedAmount < FULL_BYTES) return;
      paused = true;
      controller.pause();
    },
    onResponseEnd: () => ws.send("done"),
    onResponseError: (_controller, error) => {
      if (!stopped()) throw error;
      ws.send("done");
    },
  });
}

/** An upload to the origin, whose answer is told. */
function forward(tell: (said: string) => void): ClientRequest {
  const upload = httpRequest({ host: "127.0.0.1", port: origin, path: "/upload", method: "POST" });
  upload.on("response", (response) => {
    let said = "";
    response.setEncoding("utf8").on("data", (text: string) => (said += text));
    response.on("end", () => tell(said));
  });
  return upload;
}

await Promise.all(Array.from({ length: Number(sockets) }, open));
console.log("ready");
