/**
 * What a Worker and a Durable Object cost by themselves: the least that any tunnel through them has to pay.
 *
 * Routes, each in front of the origin's paths:
 * `/hello`              a small answer that the object makes itself
 * `/ask/<word>`         a small answer that the partner makes ("ask"), or gets from the origin ("fetch"): one message
 *                       each way, a line of text
 * `/own/<chunk>`        bodies that the object makes itself, in chunks of so many bytes
 * `/bare/<message>`     bodies between visitor and WebSocket, in messages of so many bytes, with no framing and no
 *                       flow control: one body at a time has a socket for itself
 * `/bare/origin`        the same, but the partner has them from the origin, and gives them to it, as they come
 * `/relay/<how>`        WebSockets, and event streams, each joined to a WebSocket to the partner, message by message:
 *                       the partner echoes and makes events itself ("echo"), or passes all on to the origin ("origin")
 */
import { DurableObject } from "cloudflare:workers";
import { slice, smallBody } from "../site/pattern.ts";

/** What is read at once of an upload for the origin. */
const UPLOAD_READ_BYTES = 64 * 1024;

export class Floor extends DurableObject {
  /** Sockets that nobody uses: after a sleep, all of them. */
  #free = this.ctx.getWebSockets();
  /** Who is told of what comes on the others. */
  #users = new Map();
  /** Who waits for an answer of the partner's, by number. */
  #asked = new Map();
  #last = 0;

  fetch(request) {
    const [, what, size, ...path] = new URL(request.url).pathname.split("/");
    if (what === "relay") return this.#relay(size, path);
    if (request.headers.get("upgrade") === "websocket") return this.#connect(what === "awake");
    if (what === "hello") return new Response(smallBody(path[1]));
    if (what === "ask") return this.#ask(size, path[1]);
    if (what === "own") return own(Number(size), Number(path[1]));
    const bytes = Number(path[1]);
    if (size === "origin") {
      if (path[0] === "upload") return this.#upload(UPLOAD_READ_BYTES, "forward", request);
      return this.#download(`fetch ${bytes}`);
    }
    if (path[0] === "upload") return this.#upload(Number(size), "receive", request);
    return this.#download(`send ${bytes} ${size}`);
  }

  /** A socket of the partner's; one that keeps the object awake is told of its messages more cheaply. */
  #connect(awake) {
    const { 0: client, 1: server } = new WebSocketPair();
    if (awake) {
      server.accept();
      server.addEventListener("message", ({ data }) => this.webSocketMessage(server, data));
    } else this.ctx.acceptWebSocket(server);
    this.#free.push(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(ws, message) {
    const user = this.#users.get(ws);
    if (user !== undefined) {
      user(message);
      return;
    }
    const space = message.indexOf(" ");
    const number = Number(message.slice(0, space));
    this.#asked.get(number)(message.slice(space + 1));
    this.#asked.delete(number);
  }

  webSocketClose(ws, code) {
    ws.close(code === 1005 || code === 1006 ? 1000 : code);
  }

  #take(onMessage) {
    const ws = this.#free.pop();
    if (ws === undefined) throw new Error("every socket is in use");
    this.#users.set(ws, onMessage);
    return ws;
  }

  #giveBack(ws) {
    this.#users.delete(ws);
    this.#free.push(ws);
  }

  async #ask(word, id) {
    const { promise, resolve } = Promise.withResolvers();
    this.#asked.set(++this.#last, resolve);
    this.#free[0].send(`${word} ${this.#last} ${id}`);
    return new Response(await promise);
  }

  #relay(how, [what, everyMs, count]) {
    if (what === "events") return this.#relayEvents(`${how} ${everyMs} ${count}`);
    const { 0: client, 1: visitor } = new WebSocketPair();
    visitor.accept();
    const partner = this.#take((message) => {
      if (message === "done") this.#giveBack(partner);
      else visitor.send(message);
    });
    partner.send(how);
    visitor.addEventListener("message", ({ data }) => partner.send(data));
    visitor.addEventListener("close", () => {
      visitor.close();
      partner.send("stop");
    });
    return new Response(null, { status: 101, webSocket: client });
  }

  #relayEvents(order) {
    const encoder = new TextEncoder();
    let partner;
    let gone = false;
    const body = new ReadableStream({
      start: (controller) => {
        partner = this.#take((message) => {
          if (message === "done") {
            this.#giveBack(partner);
            if (!gone) controller.close();
          } else if (!gone) controller.enqueue(encoder.encode(message));
        });
        partner.send(order);
      },
      cancel: () => {
        gone = true;
        partner.send("stop");
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  /** Every message goes on as it is; the sender says "done" in text. */
  #download(order) {
    let ws;
    let done = false;
    let gone = false;
    const body = new ReadableStream({
      start: (controller) => {
        ws = this.#take((message) => {
          if (typeof message !== "string") {
            if (!gone) controller.enqueue(new Uint8Array(message));
            return;
          }
          done = true;
          this.#giveBack(ws);
          if (!gone) controller.close();
        });
        ws.send(order);
      },
      cancel: () => {
        gone = true;
        if (!done) ws.send("stop");
      },
    });
    return new Response(body, { encodeBody: "manual" });
  }

  /** What is read goes out as messages; the receiver says in text how much arrived. */
  async #upload(messageBytes, order, request) {
    const answer = Promise.withResolvers();
    const ws = this.#take(answer.resolve);
    ws.send(order);
    const reader = request.body.getReader({ mode: "byob" });
    for (;;) {
      const { value, done } = await reader.readAtLeast(messageBytes, new Uint8Array(messageBytes));
      if (value !== undefined && value.byteLength > 0) ws.send(value);
      if (done) break;
    }
    ws.send("done");
    const said = await answer.promise;
    this.#giveBack(ws);
    return new Response(said);
  }
}

/** `bytes` of the pattern in chunks of `chunkBytes`, made when they are asked for. */
function own(chunkBytes, bytes) {
  let sent = 0;
  const body = new ReadableStream({
    pull: (controller) => {
      const chunk = slice(sent, Math.min(chunkBytes, bytes - sent));
      sent += chunk.byteLength;
      controller.enqueue(chunk);
      if (sent === bytes) controller.close();
    },
  });
  return new Response(body, { encodeBody: "manual" });
}

// oxlint-disable-next-line import/no-default-export -- a Worker's entry is its default export
export default {
  fetch(request, env) {
    return env.FLOOR.getByName("floor").fetch(request);
  },
};
