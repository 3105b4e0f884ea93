/**
 * Several edges as if they were the objects of one service, in a process of its own: what the Worker does with SHARDS, for
 * objects that each have a thread of their own, which those of one workerd have not.
 *
 * Parameters: JSON of `SpreadOptions`. It answers with its port. A connection stays with the edge that its first line chose.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { answerQuestions } from "../process.ts";

export interface SpreadOptions {
  /** The edges' ports on 127.0.0.1, the first shard's first. */
  readonly ports: readonly number[];
}

const { ports } = JSON.parse(process.argv[2] ?? "{}") as SpreadOptions;
let nextVisitor = 0;

const server = createServer({ noDelay: true }, (near) => {
  near.on("error", () => near.destroy());
  near.once("data", (first: Buffer) => {
    near.pause();
    const text = first.toString("latin1");
    const shard = /^GET \/websocket\/\w+(?:\?shard=(\d+))? /.exec(text);
    if (text.startsWith("GET /shards/")) {
      near.end(`HTTP/1.1 204 No Content\r\nsluice-shards: ${ports.length}\r\n\r\n`);
    } else if (shard === null) join(near, nextVisitor++ % ports.length, first);
    // Each edge has one object for the service, which is its first.
    else join(near, Number(shard[1] ?? 0), Buffer.from(text.replace(/\?shard=\d+/, ""), "latin1"));
  });
});

function join(near: Socket, shard: number, first: Buffer): void {
  const far = connect({ port: ports[shard] ?? 0, host: "127.0.0.1", noDelay: true });
  far.on("error", () => near.destroy());
  near.on("close", () => far.destroy());
  far.write(first);
  near.pipe(far).pipe(near);
}

server.listen(0, "127.0.0.1");
const listening = once(server, "listening");

answerQuestions<undefined, number>(async () => {
  if (!server.listening) await listening;
  return (server.address() as AddressInfo).port;
});
