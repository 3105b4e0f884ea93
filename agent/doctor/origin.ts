/** The server behind the tunnel: whether it is there, what it speaks, whether its certificate is believed. */
import type { IncomingMessage } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import type { TLSSocket } from "node:tls";
import { type ClientError, faultReason, hasOtherProtocols, isAbsent } from "../origin/fault.ts";
import { serverName } from "../origin/origin-tls.ts";
import { requestTo } from "../origin/streaming.ts";
import { SOFTWARE } from "../software.ts";
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
import type { Scene } from "./scene.ts";

export const origin: Check = {
  name: "origin",
  title: "origin",
  needs: ["configuration"],
  target: ({ config, hasOrigin }) => (hasOrigin ? config.origin.label + config.basePath : ""),
  run: async (scene) => {
    if (!scene.hasOrigin) return skip("not given: --port or --origin");
    try {
      return judged(scene, await askOrigin(scene));
    } catch (error) {
      return broken(scene, error as ClientError);
    }
  },
};

interface OriginAnswer {
  readonly method: "HEAD" | "GET";
  readonly status: number;
  /** `HTTP/1.1`, `HTTP/2`. */
  readonly version: string;
  readonly server: string | undefined;
  readonly ms: number;
  /** TLS: its version, and whether the certificate is good. */
  readonly tls: { readonly version: string; readonly flaw: string | undefined } | undefined;
}

/** HEAD changes nothing; GET only where HEAD is not known. */
async function askOrigin(scene: Scene): Promise<OriginAnswer> {
  const head = await once(scene, "HEAD");
  return head.status === 405 || head.status === 501 ? once(scene, "GET") : head;
}

async function once(scene: Scene, method: "HEAD" | "GET"): Promise<OriginAnswer> {
  if (scene.config.origin.http2) return overHttp2(scene, method);
  try {
    return await overHttp1(scene, method);
  } catch (error) {
    if (hasOtherProtocols(error as ClientError)) return overHttp2(scene, method);
    throw error;
  }
}

async function overHttp1(
  { config, originTls }: Scene,
  method: "HEAD" | "GET",
): Promise<OriginAnswer> {
  const { origin: address, basePath } = config;
  const host = config.hostHeader ?? address.url.host;
  const startMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<OriginAnswer>();
  const request = requestTo(
    address,
    { path: basePath === "" ? "/" : basePath, host },
    {
      agent: false,
      method,
      headers: ["Host", host, "User-Agent", SOFTWARE, "Accept", "*/*", "Connection", "close"],
      signal: AbortSignal.timeout(WITHIN_MS),
      ...originTls,
    },
  );
  request.on("error", reject);
  request.on("response", (response: IncomingMessage) => {
    const { statusCode: status = 0, httpVersion, headers, socket } = response;
    resolve({
      method,
      status,
      version: `HTTP/${httpVersion}`,
      server: headers.server?.toString(),
      ms: sinceMs(startMs),
      tls: address.url.protocol === "https:" ? tlsOf(socket as TLSSocket) : undefined,
    });
    request.destroy();
  });
  request.end();
  return promise;
}

async function overHttp2(
  { config, originTls }: Scene,
  method: "HEAD" | "GET",
): Promise<OriginAnswer> {
  const { origin: address, basePath } = config;
  const host = config.hostHeader ?? address.url.host;
  const secure = address.url.protocol === "https:";
  const startMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<OriginAnswer>();
  const session = connectHttp2(address.url, {
    ...originTls,
    ...(secure ? { servername: serverName(host) } : {}),
  });
  session.on("error", reject);
  const stream = session.request({
    ":method": method,
    ":path": basePath === "" ? "/" : basePath,
    ":authority": host,
    "user-agent": SOFTWARE,
  });
  stream.on("error", reject);
  stream.setTimeout(WITHIN_MS, () => reject(late()));
  stream.on("response", (headers) => {
    resolve({
      method,
      status: headers[":status"] ?? 0,
      version: "HTTP/2",
      server: headers.server?.toString(),
      ms: sinceMs(startMs),
      tls: secure ? tlsOf(session.socket as TLSSocket) : undefined,
    });
  });
  try {
    return await promise;
  } finally {
    session.destroy();
  }
}

function tlsOf(socket: TLSSocket): NonNullable<OriginAnswer["tls"]> {
  const flaw = socket.authorized ? undefined : String(socket.authorizationError);
  return { version: socket.getProtocol() ?? "TLS", flaw };
}

function late(): Error {
  return Object.assign(new Error("late"), { name: "TimeoutError" });
}

function judged({ config }: Scene, answer: OriginAnswer): Finding {
  const { method, status, version, ms, tls } = answer;
  const path = config.basePath === "" ? "/" : config.basePath;
  const over = tls === undefined ? version : `${version} over ${tls.version}`;
  const details = `${method} ${path} answered with ${status} in ${shortMs(ms)}, ${over}`;
  const data = { ...answer };
  if (tls?.flaw !== undefined) {
    return warn(
      `${details}, believed only because of --insecure-origin (${tls.flaw})`,
      "--origin-ca <PEM file> with its certificate is safer: then only your server is believed.",
      data,
    );
  }
  if (status >= 500) {
    return warn(details, "The server is there and fails: its own log says why.", data);
  }
  return ok(details, data);
}

function broken({ config }: Scene, error: ClientError): Finding {
  const { label, socketPath, url } = config.origin;
  const flag = socketPath === undefined ? "--port or --origin" : "--origin";
  const data = { data: { code: error.code } };
  if (error.name === "AbortError" || error.name === "TimeoutError") {
    return warn(
      `no answer within ${WITHIN_MS / 1000} s`,
      "The server takes connections and is busy, or waits for something: its own log may say for what.",
      data.data,
    );
  }
  const reason = faultReason(error);
  if (isAbsent(error)) {
    return fail(
      reason,
      `Start your server, or correct ${flag}: nothing listens at ${label}.`,
      data,
    );
  }
  const [details = reason, advice] = reason.split("; ", 2);
  if (advice !== undefined) {
    const said = `${advice.charAt(0).toUpperCase()}${advice.slice(1)}`;
    return fail(details, /[.?]$/.test(said) ? said : `${said}.`, data);
  }
  if (error.code?.startsWith("HPE_") === true || error.code === "ECONNRESET") {
    const other = url.protocol === "http:" ? " Does it want https:// (--origin), or h2c://?" : "";
    return fail(details, `What listens at ${label} does not answer HTTP/1.1.${other}`, data);
  }
  if (error.code === "ENOTFOUND")
    return fail(details, "Is its name written right in --origin?", data);
  return fail(details, `Correct ${flag}, or see why ${label} does not answer.`, data);
}
