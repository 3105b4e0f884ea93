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
import { FILM, GAP_BYTES, gappedFilm, sendFilm } from "./film.ts";
import { useBrowser } from "./use-browser.ts";
import { poll } from "../support/until.ts";
import { agrees, listen, type Tunnelled, useWays } from "./ways.ts";

const DOWNLOAD_BYTES = 32 * 1024 * 1024;

describe.skipIf(chromiumPath === undefined)("Chromium", () => {
  const onPage = useBrowser();

  describe("a page", () => {
    const film = gappedFilm();
    /** The first bytes of the parts of the film that were asked for, by its URL: each showing has its own. */
    const asked = new Map<string, number[]>();
    const ways = useWays(async () =>
      listen(
        createServer((request, response) => {
          const { url = "/", headers } = request;
          if (url.startsWith("/film?")) {
            asked.set(url, [...(asked.get(url) ?? []), sendFilm(film, request, response)]);
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
      "finds the end of a film by a range, and shows the picture of each second that it jumps to",
      ways,
      async (base) => {
        const showing = `film?${asked.size}`;
        const seen = await onPage(`${base}/`, (page) =>
          page.evaluate(async (url) => {
            const video = document.createElement("video");
            video.preload = "auto";
            const happens = (event: string): Promise<void> =>
              new Promise((resolve, reject) => {
                video.addEventListener("error", () => reject(new Error(video.error?.message)));
                video.addEventListener(event, () => resolve(), { once: true });
              });
            const begun = happens("loadeddata");
            video.src = url;
            await begun;
            const canvas = document.createElement("canvas").getContext("2d");
            // As good as it is after it was a picture of brightness and colour.
            const look = (): number[] => {
              canvas?.drawImage(video, 0, 0);
              const [red = 0, green = 0, blue = 0] = canvas?.getImageData(32, 24, 1, 1).data ?? [];
              return [red, green, blue].map((of) => Math.round(of / 255));
            };
            /** On a busy machine a picture comes behind the event: the next one that is not like the one before. */
            const picture = async (before: string): Promise<number[]> => {
              for (let again = 0; ; again++) {
                const now = look();
                if ((now.includes(1) && now.join() !== before) || again === 500) return now;
                await new Promise((resolve) => setTimeout(resolve, 20));
              }
            };
            let shown = await picture("");
            const pictures: [second: number, ...colour: number[]][] = [];
            for (const second of [25.5, 5.5, 15.5]) {
              const there = happens("seeked");
              video.currentTime = second;
              await there;
              shown = await picture(shown.join());
              pictures.push([video.currentTime, ...shown]);
            }
            return [video.duration, video.videoWidth, video.videoHeight, pictures];
          }, showing),
        );
        // It asks from a multiple of 32 KiB on.
        const behindGap = asked.get(`/${showing}`)?.some((first) => first > GAP_BYTES / 2);
        return { seen, behindGap };
      },
      ({ seen, behindGap }) => {
        const pictures = [
          [25.5, 0, 0, 1],
          [5.5, 1, 0, 0],
          [15.5, 0, 1, 0],
        ];
        expect(seen).toEqual([FILM.seconds, FILM.width, FILM.height, pictures]);
        expect(behindGap).toBe(true);
      },
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
