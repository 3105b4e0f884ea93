/** A server of node:http answers. It listens on no port: nobody else on this machine or network reaches it. */
import { createServer } from "node:http";
import { connect } from "sluice";

const server = createServer((request, response) => {
  response.setHeader("content-type", "text/plain");
  response.write(`${request.method} ${request.url}\n`);
  request.pipe(response);
});

const tunnel = await connect({
  edge: process.env["EDGE"] ?? "http://127.0.0.1:8787",
  service: "shop",
  token: process.env["TOKEN"] ?? "",
  origin: server,
});
process.once("SIGINT", () => void tunnel.close({ graceMs: 5000 }));
console.log(`listening at ${tunnel.url}`);
