/**
 * The AWS client against a store that speaks as much of S3 as it needs: an upload in parts, one at a time and several at
 * once, ranges, and keys that have to be escaped.
 *
 * It believes nobody whose signature is wrong. That is over Host and path as the client wrote them: behind a tunnel a
 * store has to take them from X-Forwarded-Host and X-Forwarded-Prefix, or to be given its public Host by --host-header.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import {
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { expect } from "vitest";
import { agrees, listen, useWays } from "./ways.ts";

const xml = (body: string): string => `<?xml version="1.0" encoding="UTF-8"?>${body}`;
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

const SECRET = "secret";
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer =>
  createHmac("sha256", key).update(text).digest();

/** Signature Version 4, of the request as its client made it. */
function isSigned({ method = "", url = "", headers }: IncomingMessage): boolean {
  const pattern = /Credential=[^/]+\/(\S+), SignedHeaders=(\S+), Signature=(\S+)/;
  const [, scope = "", names = "", signature] = pattern.exec(headers.authorization ?? "") ?? [];
  const [path = "", query = ""] = `${String(headers["x-forwarded-prefix"] ?? "")}${url}`.split("?");
  const host = String(headers["x-forwarded-host"] ?? headers.host);
  const signed = names.split(";").map((name) => {
    const value = name === "host" ? host : String(headers[name]);
    return `${name}:${value.trim()}\n`;
  });
  const pairs = query.split("&").map((pair) => (pair.includes("=") ? pair : `${pair}=`));
  const canonical = [
    method,
    path,
    query === "" ? "" : pairs.toSorted().join("&"),
    signed.join(""),
    names,
    String(headers["x-amz-content-sha256"]),
  ].join("\n");
  const date = String(headers["x-amz-date"]);
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n");
  let key: string | Buffer = `AWS4${SECRET}`;
  for (const part of scope.split("/")) key = hmac(key, part);
  return hmac(key, text).toString("hex") === signature;
}

const ways = useWays(async () => {
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, Map<number, Buffer>>();
  const server = createServer((request, response) => {
    void (async () => {
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
      const body = Buffer.concat(await request.toArray());
      if (!isSigned(request)) {
        response.writeHead(403, { "content-type": "application/xml" });
        response.end(xml("<Error><Code>SignatureDoesNotMatch</Code></Error>"));
        return;
      }
      const upload = searchParams.get("uploadId");
      const parts = uploads.get(upload ?? "");
      if (request.method === "POST" && searchParams.has("uploads")) {
        const id = `upload+${uploads.size}/=`;
        uploads.set(id, new Map());
        const result = `<UploadId>${id}</UploadId>`;
        response.end(
          xml(`<InitiateMultipartUploadResult>${result}</InitiateMultipartUploadResult>`),
        );
      } else if (request.method === "PUT" && parts !== undefined) {
        parts.set(Number(searchParams.get("partNumber")), body);
        response.writeHead(200, { etag: `"${md5(body)}"` }).end();
      } else if (request.method === "POST" && parts !== undefined) {
        const inOrder = [...parts.entries()].toSorted(([one], [other]) => one - other);
        const whole = Buffer.concat(inOrder.map(([, part]) => part));
        objects.set(pathname, whole);
        const result = `<Key>${pathname}</Key><ETag>"${md5(whole)}-${parts.size}"</ETag>`;
        response.end(
          xml(`<CompleteMultipartUploadResult>${result}</CompleteMultipartUploadResult>`),
        );
      } else if (request.method === "PUT") {
        objects.set(pathname, body);
        response.writeHead(200, { etag: `"${md5(body)}"` }).end();
      } else {
        const found = objects.get(pathname);
        if (found === undefined) {
          response.writeHead(404, { "content-type": "application/xml" });
          response.end(xml("<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"));
          return;
        }
        const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
        const part = first ? found.subarray(Number(first), Number(last) + 1) : found;
        response.writeHead(first ? 206 : 200, {
          "content-length": part.length,
          etag: `"${md5(found)}"`,
          ...(first ? { "content-range": `bytes ${first}-${last}/${found.length}` } : {}),
        });
        response.end(request.method === "HEAD" ? undefined : part);
      }
    })();
  });
  return listen(server);
});

const MIB = 1024 * 1024;
const file = randomBytes(12 * MIB);

agrees(
  "a multipart upload is the same object afterwards, whole and in ranges",
  ways,
  async (base) => {
    const client = new S3Client({
      endpoint: base,
      region: "local",
      forcePathStyle: true,
      credentials: { accessKeyId: "key", secretAccessKey: SECRET },
      maxAttempts: 1,
    });
    const object = { Bucket: "teas", Key: "grün & schwarz/1+1=2.bin" };
    const progress: number[] = [];
    const upload = new Upload({
      client,
      params: { ...object, Body: file },
      partSize: 5 * MIB,
      queueSize: 3,
    });
    upload.on("httpUploadProgress", ({ loaded = 0 }) => progress.push(loaded));
    const { ETag } = await upload.done();
    const whole = await client.send(new GetObjectCommand(object));
    const hash = md5((await whole.Body?.transformToByteArray()) ?? new Uint8Array());
    const range = await client.send(
      new GetObjectCommand({ ...object, Range: "bytes=5000000-5000009" }),
    );
    const ten = Buffer.from((await range.Body?.transformToByteArray()) ?? []).toString("hex");
    const small = await client.send(
      new PutObjectCommand({ ...object, Key: "empty", Body: "", ContentLength: 0 }),
    );
    const head = await client.send(new HeadObjectCommand(object));
    const missing = await client
      .send(new GetObjectCommand({ ...object, Key: "none" }))
      .catch((error: Error) => error.name);
    client.destroy();
    const { ContentLength } = head;
    return {
      ETag,
      hash,
      ten,
      range: range.ContentRange,
      small: small.ETag,
      ContentLength,
      missing,
      loaded: progress.at(-1),
    };
  },
  (seen) =>
    expect(seen).toEqual({
      ETag: `"${md5(file)}-3"`,
      hash: md5(file),
      ten: file.subarray(5_000_000, 5_000_010).toString("hex"),
      range: `bytes 5000000-5000009/${file.length}`,
      small: `"${md5(Buffer.alloc(0))}"`,
      ContentLength: file.length,
      missing: "NoSuchKey",
      loaded: file.length,
    }),
);
