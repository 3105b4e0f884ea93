/** A function answers: there is no server, and no port. */
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "sluice";

const tunnel = await connect({
  edge: process.env["EDGE"] ?? "http://127.0.0.1:8787",
  service: "shop",
  token: process.env["TOKEN"] ?? "",
  origin: answer,
});
tunnel.on("request", ({ method, path, status, ms }) => {
  console.log(`${method} ${path} ${status} ${ms} ms`);
});
process.once("SIGINT", () => void tunnel.close());
console.log(`listening at ${tunnel.url}`);
await tunnel.closed;

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/countdown") {
    return new Response(countdown(), { headers: { "content-type": "text/event-stream" } });
  }
  if (pathname === "/upload") {
    let bytes = 0;
    for await (const chunk of request.body ?? []) bytes += chunk.length;
    return Response.json({ bytes });
  }
  return new Response(`${request.method} ${pathname}\n`);
}

/** Each event goes out when it is made. A visitor who leaves ends it: then nobody pulls any more. */
function countdown(): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let left = 3;
  return new ReadableStream({
    async pull(controller) {
      controller.enqueue(encoder.encode(`data: ${left}\n\n`));
      if (left === 0) controller.close();
      else await sleep(100);
      left--;
    },
  });
}
