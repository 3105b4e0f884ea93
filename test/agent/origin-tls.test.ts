/** Origins behind TLS: whom the agent believes, and what it says when it does not. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { originTls } from "../../agent/origin/origin-tls.ts";
import type { OriginOptions } from "../../agent/origin/origin.ts";
import type { Exchange } from "../../codec/exchange.ts";
import { authority, type Certificate, certificate } from "../support/certificate.ts";
import { readAll } from "./pair.ts";
import { TunnelEnd } from "./tunnel-end.ts";

const ours = authority();
let directory = "";
let server: Server | undefined;
let end: TunnelEnd | undefined;
const serverNames: unknown[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-tls-"));
  await writeFile(join(directory, "ca.pem"), ours.cert);
  await writeFile(join(directory, "empty.pem"), "nothing");
});
afterAll(() => rm(directory, { recursive: true }));
afterEach(async () => {
  await end?.stop();
  server?.closeAllConnections();
  server?.close();
  serverNames.length = 0;
});

async function served(
  identity: Certificate,
  options: Partial<OriginOptions> & { readonly host?: string },
): Promise<TunnelEnd> {
  server = createServer(identity, (request, response) => {
    serverNames.push((request.socket as TLSSocket).servername);
    request.pipe(response);
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const { host = "localhost", ...rest } = options;
  const url = new URL(`https://${host}:${(server.address() as AddressInfo).port}`);
  const address = { url, socketPath: undefined, http2: false, label: url.origin };
  end = await TunnelEnd.to(0, { address, ...rest });
  return end;
}

/** All three ways by which a request goes to an origin. */
const clients: readonly (readonly [string, (end: TunnelEnd) => Exchange])[] = [
  ["whole", (tunnel) => tunnel.ask({ method: "POST", body: "hello" })],
  [
    "streaming",
    (tunnel) => {
      const exchange = tunnel.ask({ method: "POST", length: "unknown" });
      exchange.outgoing.write(Buffer.from("hello"));
      exchange.outgoing.end();
      return exchange;
    },
  ],
  [
    "upgrading",
    (tunnel) => tunnel.ask({ length: "socket", headers: ["sec-websocket-protocol", "x"] }),
  ],
];

describe.each(clients)("by the %s client", (name, ask) => {
  const expected = name === "upgrading" ? "" : "hello";

  test("an origin that --origin-ca vouches for answers", async () => {
    const tls = originTls(join(directory, "ca.pem"), false);
    const tunnel = await served(certificate({ issuer: ours }), { tls });
    const exchange = ask(tunnel);
    expect(await exchange.answer()).toMatchObject({ status: 200 });
    expect(await readAll(exchange)).toBe(expected);
    expect(serverNames).toEqual(["localhost"]);
  });

  test("any origin answers with --insecure-origin", async () => {
    const tls = originTls(undefined, true);
    const tunnel = await served(certificate({ names: ["other.example"], days: [-2, -1] }), { tls });
    const exchange = ask(tunnel);
    expect(await exchange.answer()).toMatchObject({ status: 200 });
    expect(await readAll(exchange)).toBe(expected);
  });

  test.each<[string, Certificate, string]>([
    ["self-signed", certificate(), "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["for another name", certificate({ names: ["a.example"], issuer: ours }), "ALTNAME_INVALID"],
    ["expired", certificate({ issuer: ours, days: [-2, -1] }), "CERT_HAS_EXPIRED"],
  ])("a certificate that is %s is refused, with the two ways out in the log", async (...given) => {
    const [, identity, code] = given;
    const tls = originTls(join(directory, "ca.pem"), false);
    const tunnel = await served(identity, { tls });
    await expect(ask(tunnel).answer()).rejects.toMatchObject({ code: "origin-refused" });
    const { reason } = await tunnel.report();
    expect(reason).toContain(code);
    expect(reason).toMatch(/--origin-ca .*--insecure-origin/);
  });

  test("the name of --host-header is asked for, and must be the certificate's", async () => {
    const tls = originTls(join(directory, "ca.pem"), false);
    const identity = certificate({ names: ["shop.example"], issuer: ours });
    const tunnel = await served(identity, { tls, hostHeader: "shop.example:8443" });
    expect(await ask(tunnel).answer()).toMatchObject({ status: 200 });
    expect(serverNames).toEqual(["shop.example"]);
  });

  test("an origin that is an address needs a certificate for the address", async () => {
    const tls = originTls(join(directory, "ca.pem"), false);
    const identity = certificate({ names: ["127.0.0.1"], issuer: ours });
    const tunnel = await served(identity, { tls, host: "127.0.0.1" });
    expect(await ask(tunnel).answer()).toMatchObject({ status: 200 });
  });
});

test.each([
  ["missing.pem", /"[^"]*missing\.pem" \(--origin-ca\) cannot be used: ENOENT/],
  ["empty.pem", /"[^"]*empty\.pem" \(--origin-ca\) cannot be used: it holds no PEM certificate/],
])("an --origin-ca of %s is refused at the start, in words", (file, says) => {
  expect(() => originTls(join(directory, file), false)).toThrow(says);
});
