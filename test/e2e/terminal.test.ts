/** What whoever runs an agent is told of a real edge and of their own server. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Edge } from "../support/tunnel.ts";

let edge: Edge | undefined;

afterEach(async () => {
  await edge?.stop();
  edge = undefined;
});

test.each([
  ["open", "public", /Everybody on this machine can reach http:\/\/localhost:\d+ through the edge/],
  ["token", "token", /Only who has a visitor token for the service can reach http:\/\/localhost:/],
])(
  "an edge with --visitors %s says so to its agents, and they to people",
  async (rule, said, words) => {
    edge = await Edge.start(["--visitors", rule]);
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    const agent = await edge.agent({ service: "shop", port });
    expect(await agent.event("connected")).toMatchObject({ visitors: said });
    expect(await agent.event("origin")).toMatchObject({ up: true });
    await agent.said(words);
    server.close();
  },
);

test("a server that is not there is named before anybody asks for it", async () => {
  edge = await Edge.start();
  const agent = await edge.agent({ service: "shop", port: 1 });
  expect(await agent.event("origin")).toMatchObject({
    up: false,
    reason: expect.stringContaining("ECONNREFUSED"),
  });
});
