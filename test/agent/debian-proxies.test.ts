/**
 * `agent connect` through tinyproxy, squid and microsocks. Their edges are at 0.0.0.0, which leads to 127.0.0.1 and is not excepted
 * from proxies as that is.
 */
import { writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type DebianProxy,
  hasProxy,
  microsocks,
  squid,
  tinyproxy,
} from "../support/debian-proxy.ts";
import { Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";
import { poll } from "../support/until.ts";
import { FakeEdge } from "./fake-edge.ts";
import { readAll } from "./pair.ts";

let directory = "";
const cleanups: (() => Promise<unknown> | void)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-unit-"));
  await writeFile(join(directory, "token"), "a.token\n");
});
afterAll(() => rm(directory, { recursive: true, force: true }));
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function fakeEdge(): Promise<FakeEdge> {
  const edge = await FakeEdge.start();
  cleanups.push(() => edge.stop());
  return edge;
}

async function use(starting: Promise<DebianProxy>): Promise<DebianProxy> {
  const proxy = await starting;
  cleanups.push(() => proxy.stop());
  return proxy;
}

function agent(edgePort: number, proxy: string, port = 1): Program {
  const to = ["-e", `http://0.0.0.0:${edgePort}`, "-s", "shop", "-p", String(port)];
  const program = Program.agent(
    ["connect", ...to, "--token-file", join(directory, "token"), "--json"],
    { env: { http_proxy: proxy, NO_PROXY: "", no_proxy: "" } },
  );
  cleanups.push(() => program.stop());
  return program;
}

/** An answer of half a body, which the origin completes when it is told to. */
async function halfway(edge: FakeEdge, proxy: string) {
  const origin = await Origin.start();
  cleanups.push(() => origin.stop());
  origin.otherwise(({ response }) => response.write("half"));
  const program = agent(edge.port, proxy, origin.port);
  const { session } = await edge.caller();
  const exchange = session.open({ method: "GET", path: "/", headers: [], length: "none" });
  await exchange.answer();
  const complete = async (): Promise<string> => {
    origin.log[0]?.response.end(" and half");
    return readAll(exchange);
  };
  return { program, complete };
}

describe.runIf(hasProxy("tinyproxy"))("tinyproxy", () => {
  test("carries the tunnel", async () => {
    const edge = await fakeEdge();
    const proxy = await use(tinyproxy());
    const { complete } = await halfway(edge, proxy.url);
    expect(await complete()).toBe("half and half");
    expect(await proxy.log()).toContain(`CONNECT 0.0.0.0:${edge.port}`);
  });

  test("with BasicAuth wants the right credentials, and gets them", async () => {
    const edge = await fakeEdge();
    const proxy = await use(tinyproxy(["BasicAuth jo secret"]));
    agent(edge.port, `http://jo:secret@127.0.0.1:${proxy.port}`);
    await edge.caller();
    const wrong = agent(edge.port, `http://jo:other@127.0.0.1:${proxy.port}`);
    expect(await wrong.exit()).toMatchObject({ code: 2 });
    // It says so with a 401, as no standard has it.
    expect(wrong.stderr).toContain("refuses the credentials that http_proxy holds (401)");
    const none = agent(edge.port, proxy.url);
    expect(await none.exit()).toMatchObject({ code: 2 });
    expect(none.stderr).toContain("wants credentials (407): put them into http_proxy");
  });

  test("that allows CONNECT to port 443 alone is quoted", async () => {
    const edge = await fakeEdge();
    const proxy = await use(tinyproxy(["ConnectPort 443"]));
    const { reason } = await agent(edge.port, proxy.url).event("disconnected");
    expect(reason).toContain(`refuses to connect to 0.0.0.0:${edge.port}: 403 Access violation;`);
  });

  test("that finds nobody at the edge's address is quoted", async () => {
    const proxy = await use(tinyproxy());
    const { reason } = await agent(9, proxy.url).event("disconnected");
    expect(reason).toContain("cannot reach 0.0.0.0:9 itself: 500 Unable to connect");
  });

  test("that cuts what is idle for two seconds loses nothing of what is in flight", async () => {
    const edge = await fakeEdge();
    const proxy = await use(tinyproxy(["Timeout 2"]));
    const { program, complete } = await halfway(edge, proxy.url);
    await program.event("resumed");
    expect(await complete()).toBe("half and half");
  });
});

describe.runIf(hasProxy("squid"))("squid", () => {
  test("carries the tunnel", async () => {
    const edge = await fakeEdge();
    const proxy = await use(squid());
    const { program, complete } = await halfway(edge, proxy.url);
    expect(await complete()).toBe("half and half");
    program.kill("SIGTERM");
    await program.exit();
    await poll(
      async () => (await proxy.log()).includes(`CONNECT 0.0.0.0:${edge.port}`),
      "its line in squid's log",
    );
  });

  test("with a login wants the right credentials, and gets them", async () => {
    const edge = await fakeEdge();
    const login =
      'while read -r who; do if [ "$who" = "jo sec%20ret" ]; then echo OK; else echo ERR; fi; done';
    const proxy = await use(
      squid((own) => {
        writeFileSync(join(own, "login.sh"), `${login}\n`);
        return [
          `auth_param basic program /bin/sh ${join(own, "login.sh")}`,
          "auth_param basic children 1",
          "auth_param basic realm corp",
          "acl known proxy_auth REQUIRED",
          "http_access deny !known",
        ];
      }),
    );
    agent(edge.port, `http://jo:sec%20ret@127.0.0.1:${proxy.port}`);
    await edge.caller();
    const wrong = agent(edge.port, `http://jo:wrong@127.0.0.1:${proxy.port}`);
    expect(await wrong.exit()).toMatchObject({ code: 2 });
    expect(wrong.stderr).toContain("refuses the credentials that http_proxy holds (407)");
    const none = agent(edge.port, proxy.url);
    expect(await none.exit()).toMatchObject({ code: 2 });
    expect(none.stderr).toContain("wants credentials (407): put them into http_proxy");
  });

  test("that denies CONNECT is quoted, and asked again", async () => {
    const edge = await fakeEdge();
    const proxy = await use(squid(["http_access deny CONNECT"]));
    const program = agent(edge.port, proxy.url);
    const { reason, at } = await program.event("disconnected");
    expect(reason).toContain(
      `the proxy ${proxy.url} (http_proxy) refuses to connect to 0.0.0.0:${edge.port}: 403 ERROR: The requested URL could not be retrieved; whoever runs it must allow CONNECT`,
    );
    await program.event("disconnected", (event) => event.at > at);
  });

  test("that cuts what is idle for two seconds loses nothing of what is in flight", async () => {
    const edge = await fakeEdge();
    const proxy = await use(squid(["read_timeout 2 seconds"]));
    const { program, complete } = await halfway(edge, proxy.url);
    await program.event("resumed");
    expect(await complete()).toBe("half and half");
  });

  test("on the way that takes the upgrade out of the request is what a 426 is explained with", async () => {
    // As the edge answers what is no upgrade.
    const server = createServer((request, response) => {
      expect(request.headers.upgrade).toBeUndefined();
      response.writeHead(426, { "sluice-error": "upgrade-required" });
      response.end("This route is for agents.\n");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const peer = `cache_peer 127.0.0.1 parent ${port} 0 no-query originserver`;
    const proxy = await use(squid([peer], "accel defaultsite=edge.test"));
    const program = agent(proxy.port, "");
    expect(await program.exit()).toMatchObject({ code: 5 });
    expect(program.stderr).toContain("a proxy on the way takes the upgrade to a WebSocket out");
  });
});

describe.runIf(hasProxy("microsocks"))("microsocks", () => {
  test.each(["socks5", "socks5h", "socks"])("carries the tunnel over %s", async (scheme) => {
    const edge = await fakeEdge();
    const proxy = await use(microsocks());
    const { complete } = await halfway(edge, `${scheme}://127.0.0.1:${proxy.port}`);
    expect(await complete()).toBe("half and half");
  });

  test("with a login wants the right credentials, and gets them", async () => {
    const edge = await fakeEdge();
    const proxy = await use(microsocks(["-u", "jo", "-P", "sec ret"]));
    agent(edge.port, `socks5h://jo:sec%20ret@127.0.0.1:${proxy.port}`);
    await edge.caller();
    const wrong = agent(edge.port, `socks5h://jo:wrong@127.0.0.1:${proxy.port}`);
    expect(await wrong.exit()).toMatchObject({ code: 2 });
    expect(wrong.stderr).toContain("refuses the credentials that http_proxy holds (SOCKS5)");
    const none = agent(edge.port, `socks5h://127.0.0.1:${proxy.port}`);
    expect(await none.exit()).toMatchObject({ code: 2 });
    expect(none.stderr).toContain("wants credentials (SOCKS5): put them into http_proxy");
  });

  test("that finds nobody at the edge's address is quoted", async () => {
    const proxy = await use(microsocks());
    const { reason } = await agent(9, `socks5h://127.0.0.1:${proxy.port}`).event("disconnected");
    expect(reason).toContain("cannot reach 0.0.0.0:9 itself: connection refused (5)");
  });

  test("does not speak SOCKS4, which is said", async () => {
    const proxy = await use(microsocks());
    const { reason } = await agent(9, `socks4://127.0.0.1:${proxy.port}`).event("disconnected");
    expect(reason).toContain(
      "(http_proxy) broke the connection off instead of leading to 0.0.0.0:9;",
    );
  });
});
