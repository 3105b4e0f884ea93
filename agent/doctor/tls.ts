/** TLS to the edge: whom it is spoken with, who vouches for that, and whether somebody reads along. */
import { X509Certificate } from "node:crypto";
import { getCACertificates, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import { Unreachable } from "../connection/unreachable.ts";
import { type ClientError, faultReason } from "../origin/fault.ts";
import {
  type Check,
  fail,
  type Finding,
  ok,
  shortMs,
  sinceMs,
  skip,
  warn,
  WITHIN_MS,
} from "./check.ts";
import { edgeAddress, type Scene } from "./scene.ts";

const DAY_MS = 86_400_000;

/** Public certificates are renewed a month before; one that ends so soon has been forgotten. */
const SOON_DAYS = 10;

export const tls: Check = {
  name: "tls",
  title: "TLS",
  needs: ["proxy"],
  target: edgeAddress,
  run: look,
};

async function look(scene: Scene): Promise<Finding> {
  const { trust, open, host } = scene.reach;
  if (trust === undefined) {
    if (scene.local) return skip("http:, on this machine");
    return warn(
      "http: the token and every request can be read on the way",
      "Give --edge as https:// if the edge has it; Cloudflare's always do.",
    );
  }
  const deadline = AbortSignal.timeout(WITHIN_MS);
  const startMs = performance.now();
  try {
    const socket = await trust.secure(() => open(deadline), host, deadline);
    const ms = sinceMs(startMs);
    const finding = trusted(scene, socket, ms);
    socket.on("error", () => {}).destroy();
    return finding;
  } catch (error) {
    return distrusted(scene, error as ClientError);
  }
}

function trusted({ config }: Scene, socket: TLSSocket, ms: number): Finding {
  const leaf = socket.getPeerCertificate(true);
  const root = rootOf(leaf);
  const issuer = nameOf(leaf.issuer);
  const authority = nameOf(root.subject);
  const days = Math.floor((Date.parse(leaf.valid_to) - Date.now()) / DAY_MS);
  const version = socket.getProtocol() ?? "TLS";
  const details = `${version} in ${shortMs(ms)}, issued by ${issuer}, good for ${days} days`;
  const source = sourceOf(root, config.ca !== undefined);
  const data = { version, issuer, authority, source, validTo: leaf.valid_to, handshakeMs: ms };
  if (source === "NODE_EXTRA_CA_CERTS" || source === "system") {
    const from = source === "system" ? "this system" : source;
    return warn(
      `${details}; its authority ${authority} is none of the public ones, and is believed because ${from} has it`,
      `If ${authority} is your company's or your own, all is well: whoever holds it can read what passes. If you do not know it, do not connect.`,
      data,
    );
  }
  if (days < SOON_DAYS) {
    return warn(details, "Have whoever runs the edge renew its certificate.", data);
  }
  return ok(source === "--ca" ? `${details}, believed by --ca` : details, data);
}

/** Sentences of `trust.ts` say what happened, then what to do. */
function distrusted(scene: Scene, error: ClientError): Finding {
  const says = error instanceof Unreachable ? error.message : faultReason(error);
  const address = edgeAddress(scene);
  const [details = says, advice] = says.split("; ", 2);
  const issuer = /issued by ("(?:[^"\\]|\\.)*")/.exec(says)?.[1];
  const data = { data: { issuer } };
  if (advice !== undefined) {
    const action = `If ${issuer ?? "that"} is your company's, something on the way opens TLS: give its certificate with --ca <PEM file>, or NODE_EXTRA_CA_CERTS. If it is the edge's own, do the same with the edge's. If it is neither, do not connect.`;
    return fail(details, action, data);
  }
  if (/wrong version number|packet length too long/i.test(says)) {
    const action =
      "What answers there speaks no TLS: is it http:// instead of https:// in --edge, or another port?";
    return fail(details, action, data);
  }
  if (says.includes("for another name")) {
    return fail(
      details,
      `Give --edge with the name that the certificate of ${address} is for, unless something on the way answers in its place.`,
      data,
    );
  }
  if (says.includes("expired")) {
    return fail(details, "Have whoever runs the edge renew its certificate.", data);
  }
  if (says.includes("not valid yet")) return fail(details, "Set this machine's clock right.", data);
  const action = `A firewall may close what it does not know: ask for TLS to ${address} to be let through.`;
  return fail(details, action, data);
}

/** Who vouches for all the others. */
function rootOf(leaf: DetailedPeerCertificate): DetailedPeerCertificate {
  let last = leaf;
  for (let depth = 0; depth < 10; depth++) {
    const next = last.issuerCertificate as DetailedPeerCertificate | undefined;
    if (next === undefined || next === last || next.fingerprint256 === last.fingerprint256) break;
    last = next;
  }
  return last;
}

/** Where our belief in a root comes from. */
function sourceOf({ fingerprint256 }: DetailedPeerCertificate, given: boolean): string {
  if (given) return "--ca";
  for (const [type, source] of [
    ["bundled", "public"],
    ["extra", "NODE_EXTRA_CA_CERTS"],
  ] as const) {
    const all = getCACertificates(type);
    if (all.some((pem) => new X509Certificate(pem).fingerprint256 === fingerprint256))
      return source;
  }
  return "system";
}

function nameOf({ CN, O }: { readonly CN?: unknown; readonly O?: unknown }): string {
  const parts = [CN, O].filter((part) => typeof part === "string");
  return JSON.stringify(parts[0] ?? "nobody");
}
