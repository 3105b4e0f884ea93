/**
 * A GraphQL server as people have them, each transport by the library that specifies it: graphql-http for queries and
 * mutations, graphql-sse and graphql-ws for subscriptions. It knows nothing of the tunnel.
 *
 * `@defer` and uploads have no small library for graphql 17, so they stand here in a few lines each.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { execute, experimentalExecuteIncrementally, parse, validate } from "graphql";
import { createHandler } from "graphql-http/lib/use/http";
import { createHandler as createStreamHandler } from "graphql-sse/lib/use/http";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";
import { shopSchema, stock } from "./schema.ts";

const BOUNDARY = "-";

export interface GraphqlServer {
  readonly port: number;
  stop(): Promise<void>;
}

interface Operation {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
}

/** Listens on 127.0.0.1: `/graphql` for everything but event streams, which are at `/graphql/stream`. */
export async function startGraphqlServer(port = 0): Promise<GraphqlServer> {
  const products = stock();
  const schema = shopSchema(products, { incremental: false });
  const deferring = shopSchema(products, { incremental: true });
  const plain = createHandler({ schema });
  const events = createStreamHandler({ schema });

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (pathname === "/graphql/stream") return events(request, response);
    if (pathname !== "/graphql") {
      response.writeHead(404).end();
      return;
    }
    const { accept = "", "content-type": type = "" } = request.headers;
    if (type.startsWith("multipart/form-data")) return uploads(request, response);
    if (accept.includes("multipart/mixed")) return incremental(request, response);
    return plain(request, response);
  };

  /** https://github.com/jaydenseric/graphql-multipart-request-spec, of single operations. */
  const uploads = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const form = await new Response(Readable.toWeb(request) as ReadableStream, {
      headers: { "content-type": request.headers["content-type"] ?? "" },
    }).formData();
    const json = (name: string): unknown => {
      const field = form.get(name);
      if (typeof field !== "string") throw new TypeError(`the request has no ${name}`);
      return JSON.parse(field);
    };
    const operation = json("operations") as Operation;
    const map = json("map") as Record<string, string[]>;
    const variables = { ...operation.variables };
    for (const [field, paths] of Object.entries(map)) {
      for (const path of paths) variables[path.replace(/^variables\./, "")] = form.get(field);
    }
    const document = parse(operation.query);
    const errors = validate(schema, document);
    const result =
      errors.length > 0
        ? { errors }
        : await execute({ schema, document, variableValues: variables });
    response.writeHead(200, { "content-type": "application/json; charset=utf-8" });
    response.end(JSON.stringify(result));
  };

  /** https://github.com/graphql/graphql-over-http/blob/main/rfcs/IncrementalDelivery.md */
  const incremental = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { query, variables } = JSON.parse(
      Buffer.concat(await request.toArray()).toString(),
    ) as Operation;
    const document = parse(query);
    const errors = validate(deferring, document);
    const result =
      errors.length > 0
        ? { errors }
        : await experimentalExecuteIncrementally({
            schema: deferring,
            document,
            ...(variables === undefined ? {} : { variableValues: variables }),
          });
    if (!("initialResult" in result)) {
      response.writeHead(200, { "content-type": "application/json; charset=utf-8" });
      response.end(JSON.stringify(result));
      return;
    }
    response.writeHead(200, { "content-type": `multipart/mixed; boundary="${BOUNDARY}"` });
    // Each part ends with the next boundary, so that a client knows it whole when it comes.
    const part = (value: unknown): string =>
      `\r\ncontent-type: application/json; charset=utf-8\r\n\r\n${JSON.stringify(value)}\r\n--${BOUNDARY}`;
    response.write(`--${BOUNDARY}${part(result.initialResult)}`);
    for await (const next of result.subsequentResults) response.write(part(next));
    response.end("--\r\n");
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(400, { "content-type": "text/plain" });
      response.end(error instanceof Error ? error.message : String(error));
    });
  });
  const sockets = new WebSocketServer({ server, path: "/graphql" });
  const subscriptions = useServer({ schema }, sockets);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      await subscriptions.dispose();
      server.close();
      server.closeAllConnections();
    },
  };
}
