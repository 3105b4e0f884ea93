/**
 * A real Chromium: event streams, a film that is jumped into, a large download read as a stream, and a Vite dev server
 * whose change arrives without a reload. Skipped, with the reason, where there is no Chromium.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createVite } from "vite";
import { describe, expect, test } from "vitest";
import { chromiumPath } from "./chromium.ts";
import { useBrowser } from "./use-browser.ts";
import { poll } from "../support/until.ts";
import { agrees, listen, type Tunnelled, useWays } from "./ways.ts";

const DOWNLOAD_BYTES = 32 * 1024 * 1024;
const FILM_SECONDS = 120;
const SAMPLES_PER_SECOND = 44_100;

/** Silence, which every browser plays and seeks in. */
function wav(): Buffer {
  const bytes = FILM_SECONDS * SAMPLES_PER_SECOND;
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + bytes, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(SAMPLES_PER_SECOND, 24);
  head.writeUInt32LE(SAMPLES_PER_SECOND, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write("data", 36);
  head.writeUInt32LE(bytes, 40);
  return Buffer.concat([head, Buffer.alloc(bytes, 128)]);
}

describe.skipIf(chromiumPath === undefined)("Chromium", () => {
  const onPage = useBrowser();

  describe("a page", () => {
    const film = wav();
    const ways = useWays(async () =>
      listen(
        createServer((request, response) => {
          const { url = "/", headers } = request;
          if (url === "/film") {
            const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
            const first = Number(from);
            const last = to === "" ? film.length - 1 : Number(to);
            response.writeHead(headers.range === undefined ? 200 : 206, {
              "content-type": "audio/wav",
              "accept-ranges": "bytes",
              "content-length": last - first + 1,
              "content-range": `bytes ${first}-${last}/${film.length}`,
            });
            response.end(film.subarray(first, last + 1));
          } else if (url === "/events") {
            // It ends after each three events; the browser comes again and says which was the last.
            const last = Number(headers["last-event-id"] ?? 0);
            response.writeHead(200, { "content-type": "text/event-stream" });
            response.write("retry: 50\n\n");
            for (let id = last + 1; id <= last + 3; id++) {
              response.write(`id: ${id}\ndata: tea\ndata: ${id}\n\n`);
            }
            response.end();
          } else if (url === "/download") {
            response.writeHead(200, { "content-length": DOWNLOAD_BYTES });
            response.end(Buffer.alloc(DOWNLOAD_BYTES, 1));
          } else {
            response.writeHead(200, { "content-type": "text/html" });
            response.end("<!doctype html><title>tea</title>");
          }
        }),
      ),
    );

    agrees(
      "hears an event stream, and hears on where it was cut",
      ways,
      (base) =>
        onPage(`${base}/`, (page) =>
          page.evaluate(
            () =>
              new Promise<string[]>((resolve) => {
                const heard: string[] = [];
                const source = new EventSource("events");
                source.onmessage = ({ data, lastEventId }) => {
                  heard.push(`${lastEventId} ${data as string}`);
                  if (heard.length < 8) return;
                  source.close();
                  resolve(heard);
                };
              }),
          ),
        ),
      (heard) => expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((id) => `${id} tea\n${id}`)),
    );

    agrees(
      "jumps to the end of a film by a range",
      ways,
      (base) =>
        onPage(`${base}/`, (page) =>
          page.evaluate(
            () =>
              new Promise<number[]>((resolve, reject) => {
                const video = document.createElement("video");
                video.src = "film";
                video.onerror = () => reject(new Error(video.error?.message));
                video.onloadedmetadata = () => {
                  video.currentTime = video.duration - 1;
                };
                video.onseeked = () => resolve([video.duration, video.currentTime]);
                video.load();
              }),
          ),
        ),
      (seen) => expect(seen).toEqual([FILM_SECONDS, FILM_SECONDS - 1]),
    );

    agrees(
      "reads a large download as a stream",
      ways,
      (base) =>
        onPage(`${base}/`, (page) =>
          page.evaluate(async () => {
            const answer = await fetch("download");
            const reader = answer.body?.getReader();
            let bytes = 0;
            for (;;) {
              const { done, value } = (await reader?.read()) ?? {};
              if (value === undefined || done === true) return bytes;
              for (const byte of [value[0], value.at(-1)]) if (byte !== 1) return -1;
              bytes += value.length;
            }
          }),
        ),
      (bytes) => expect(bytes).toBe(DOWNLOAD_BYTES),
    );
  });

  describe.each([
    ["by a host name", "/", (ways: Tunnelled) => ways.host],
    ["below a prefix that --path gives back", "/send/api/", (ways: Tunnelled) => ways.prefix],
  ])("a Vite dev server %s", (_way, base, url) => {
    let folder: string;
    const ways = useWays(
      async () => {
        folder = await mkdtemp(join(tmpdir(), "sluice-vite-"));
        await writeFile(
          join(folder, "index.html"),
          '<script type="module" src="main.js"></script>',
        );
        await writeFile(join(folder, "main.js"), main("green"));
        const vite = await createVite({
          root: folder,
          base,
          configFile: false,
          logLevel: "error",
          cacheDir: join(folder, ".vite"),
          server: { port: 0, host: "127.0.0.1" },
          appType: "mpa",
        });
        await vite.listen();
        const address = vite.httpServer?.address();
        if (typeof address !== "object" || address === null) throw new Error("no address");
        return {
          port: address.port,
          async stop() {
            await vite.close();
            await rm(folder, { recursive: true, force: true });
          },
        };
      },
      // With the slash at its end: a Vite dev server has its WebSocket exactly at its base.
      base === "/" ? [] : ["--path", base],
    );

    /** A module that takes its own successor's place, and says how often the page was loaded. */
    const main = (tea: string): string => `
      window.loads ??= Math.random();
      document.title = ${JSON.stringify(tea)};
      import.meta.hot.accept();
    `;

    test("brings a change to the open page, without a reload", async () => {
      await onPage(`${url(ways)}/`, async (page) => {
        // What the page that `onPage` has opened says late must not be taken for the word of the next one.
        await page.goto("about:blank");
        const connected = page.waitForEvent("console", (message) =>
          /connected/.test(message.text()),
        );
        await page.goto(`${url(ways)}/`);
        await connected;
        await page.waitForFunction(() => document.title === "green");
        const first = await page.evaluate("window.loads");
        // Again, if need be: Vite does not say from when on it watches.
        await poll(
          async () => {
            await writeFile(join(folder, "main.js"), main("black"));
            return (await page.title()) === "black";
          },
          "the page with the change",
          20_000,
          500,
        );
        expect(await page.evaluate("window.loads")).toBe(first);
      });
    });
  });
});
