/** An MCP server over streamable HTTP, and the SDK's own client: a session, its event streams and its end. */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { expect } from "vitest";
import { z } from "zod";
import { agrees, listen, useWays } from "./ways.ts";

async function session(sessions: Map<string, StreamableHTTPServerTransport>) {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
    onsessionclosed: (id) => void sessions.delete(id),
  });
  const server = new McpServer({ name: "tea", version: "1.0.0" });
  server.registerTool(
    "brew",
    { description: "Makes tea", inputSchema: { cups: z.number() } },
    async ({ cups }, { _meta, sendNotification }) => {
      for (let progress = 1; progress <= cups; progress++) {
        const progressToken = _meta?.progressToken ?? "";
        const params = { progressToken, progress, total: cups };
        await sendNotification({ method: "notifications/progress", params });
      }
      return { content: [{ type: "text", text: `${cups} cups of tea 🫖` }] };
    },
  );
  await server.connect(transport as Transport);
  return transport;
}

const ways = useWays(async () => {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const http = createServer((request, response) => {
    const known = sessions.get(String(request.headers["mcp-session-id"]));
    void (async () => (known ?? (await session(sessions))).handleRequest(request, response))();
  });
  return listen(http);
});

agrees(
  "a session lists tools, calls one and hears of its progress while it runs",
  ways,
  async (base) => {
    const client = new Client({ name: "test", version: "1.0.0" });
    const transport = new StreamableHTTPClientTransport(new URL(`${base}/mcp`));
    await client.connect(transport as Transport);
    const { tools } = await client.listTools();
    const heard: unknown[] = [];
    const result = await client.callTool({ name: "brew", arguments: { cups: 5 } }, undefined, {
      onprogress: (progress) => heard.push(progress),
    });
    const wrong = await client.callTool({ name: "brew", arguments: { cups: "many" } });
    await transport.terminateSession();
    const after = await client.listTools().catch((error: unknown) => String(error));
    await client.close();
    return { tools: tools.map(({ name }) => name), heard, result, wrong: wrong.isError, after };
  },
  ({ tools, heard, result, wrong, after }) => {
    expect(tools).toEqual(["brew"]);
    expect(heard).toEqual([1, 2, 3, 4, 5].map((progress) => ({ progress, total: 5 })));
    expect(result).toEqual({ content: [{ type: "text", text: "5 cups of tea 🫖" }] });
    expect(wrong).toBe(true);
    expect(after).toMatch(/Error/);
  },
);
