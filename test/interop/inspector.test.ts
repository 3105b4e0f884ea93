/**
 * The inspector as a person sees it, in a real Chromium: requests that appear by themselves, streams that count up, keys,
 * filter, secrets, replay. With SCREENSHOTS=<folder> it leaves pictures there, to be looked at.
 */
import { createServer, get } from "node:http";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { poll, within } from "../support/until.ts";
import { chromiumPath } from "./chromium.ts";
import { listen, useWays } from "./ways.ts";

/** What one step may take where everything else wants the processor too. */
const SLOW_MS = 20_000;
vi.setConfig({ testTimeout: 4 * SLOW_MS });

const folder = process.env["SCREENSHOTS"];
const PNG = Buffer.from("89504e470d0a1a0a0000000d4948445200000001", "hex");
const CHUNK = Buffer.alloc(64 * 1024, "tea ");

const products = {
  page: 2,
  total: 1284,
  products: [
    { id: 1042, name: "Darjeeling First Flush", price: 24.5, tags: ["black", "loose"], stock: 18 },
    { id: 1043, name: "Sencha Uji", price: 19.0, tags: ["green"], stock: 0, note: null },
    { id: 1044, name: "Milky Oolong", price: 31.25, tags: ["oolong", "organic"], stock: 7 },
  ],
};

/** Undefined for an order that is no JSON: a throw in the shop would end all tests. */
function answerTo(order: string): string | undefined {
  try {
    return JSON.stringify({ id: 77, got: JSON.parse(order) as unknown });
  } catch {
    return undefined;
  }
}

/** A shop with a bit of everything. */
function shop() {
  const server = createServer((request, response) => {
    const { url = "/", method = "GET" } = request;
    const path = url.split("?")[0];
    if (path === "/products") {
      response.setHeader("Content-Type", "application/json; charset=utf-8");
      response.setHeader("Set-Cookie", "basket=7f3a; Path=/; HttpOnly");
      response.end(JSON.stringify(products));
    } else if (path === "/orders" && method === "POST") {
      let body = "";
      request.on("data", (chunk) => (body += String(chunk)));
      request.on("end", () => {
        const answer = answerTo(body);
        setTimeout(() => {
          if (answer === undefined) response.writeHead(400).end("no JSON\n");
          else {
            response.writeHead(201, { "content-type": "application/json", location: "/orders/77" });
            response.end(answer);
          }
        }, 80);
      });
    } else if (path === "/wrong.json") {
      response.setHeader("content-type", "application/json");
      response.end('{"a": 1,\n "b": [1, 2,, 3]}');
    } else if (path === "/page") {
      response.setHeader("content-type", "text/html");
      response.end("<script>document.title='owned'</script><h1>tea</h1>");
    } else if (path === "/logo.png") {
      response.setHeader("content-type", "image/png");
      response.end(PNG);
    } else if (path === "/old") {
      response.writeHead(302, { location: "/products" }).end();
    } else if (path === "/broken") {
      response.writeHead(500, { "content-type": "text/plain" }).end("out of tea\n");
    } else if (path === "/dies") {
      response.writeHead(200, { "content-length": 1000 });
      response.write("half");
      setTimeout(() => response.destroy(), 20);
    } else if (path === "/prices") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      let n = 0;
      const timer = setInterval(() => {
        n++;
        const price = (24 + Math.sin(n / 3)).toFixed(2);
        if (n % 9 === 0) response.write(": still here\n\n");
        response.write(
          `event: price\nid: ${n}\ndata: {"sku":${1042 + (n % 3)},"price":${price},"at":${n * 120}}\n\n`,
        );
      }, 120);
      response.on("close", () => clearInterval(timer));
    } else if (path === "/export") {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      for (let n = 1; n <= 40; n++) response.write(`{"row":${n},"name":"tea ${n}"}\n`);
      response.end();
    } else if (path === "/film.mp4") {
      response.writeHead(200, { "content-type": "video/mp4", "content-length": 1e12 });
      const pour = (): void => {
        while (!response.destroyed && response.write(CHUNK));
        response.once("drain", pour);
      };
      pour();
    } else response.writeHead(404, { "content-type": "text/plain" }).end("no such tea\n");
  });
  const sockets = new WebSocketServer({ server, path: "/chat" });
  sockets.on("connection", (socket) => {
    socket.send(JSON.stringify({ hello: "tea room", online: 3 }));
    socket.on("message", (data: Buffer, binary) => {
      if (binary) socket.send(data);
      else socket.send(JSON.stringify({ said: data.toString(), n: data.length }));
      if (data.toString() === "bye") socket.close(1000, "closing time");
    });
  });
  return server;
}

describe.skipIf(chromiumPath === undefined)("The inspector in Chromium", () => {
  const ways = useWays(async () => listen(shop()), ["--inspect-port", "0"]);
  const leave: (() => void)[] = [];
  let browser: Browser;
  let url = "";
  /** What went wrong in any page: errors, and what its policy forbade. */
  const faults: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({
      ...(chromiumPath === undefined ? {} : { executablePath: chromiumPath }),
      args: ["--no-sandbox"],
    });
    url = String((await ways.agent.event("inspector"))["url"]);
  }, 60_000);
  afterEach(() => expect(faults).toEqual([]));
  afterAll(async () => {
    for (const each of leave) each();
    await browser.close();
  });

  async function open(options: { dark?: boolean; narrow?: boolean } = {}): Promise<Page> {
    const page = await browser.newPage({
      viewport: options.narrow ? { width: 400, height: 760 } : { width: 1180, height: 720 },
      colorScheme: options.dark ? "dark" : "light",
    });
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") faults.push(message.text());
    });
    page.setDefaultTimeout(SLOW_MS);
    await page.goto(url);
    // The URL with the token leads on to the page itself: what is asked of a page that is about to go is lost with it.
    await page.getByRole("button", { name: "Pause" }).waitFor();
    return page;
  }

  const ask = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`${ways.prefix}${path}`, { redirect: "manual", ...init });

  /** Reads so much of an answer, and then no more. */
  function stall(path: string, afterBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = get(`${ways.prefix}${path}`, (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes < afterBytes) return;
          response.pause();
          resolve();
        });
      }).on("error", reject);
      leave.push(() =>
        request
          .off("error", reject)
          .on("error", () => {})
          .destroy(),
      );
    });
  }

  async function busy(): Promise<void> {
    await ask("/logo.png");
    await ask("/old");
    await ask("/nothing");
    await ask("/broken");
    await ask("/dies")
      .then((response) => response.text())
      .catch(() => {});
    await ask("/export").then((response) => response.text());
    await ask("/page");
    await ask("/wrong.json");
    const abort = new AbortController();
    const events = await ask("/prices?currency=EUR", { signal: abort.signal });
    leave.push(() => abort.abort());
    void events.text().catch(() => {});
    await stall("/film.mp4", 3_000_000);
    const socket = new WebSocket(`${ways.prefix.replace("http", "ws")}/chat?room=tea`);
    leave.push(() => socket.terminate());
    await new Promise((resolve) => socket.once("open", resolve));
    socket.send('{"type":"join","name":"ada"}');
    socket.send(Buffer.from([1, 2, 3, 254, 255]));
    socket.ping();
    socket.send("a cup of darjeeling, please");
    await ask("/products?page=2", {
      headers: { authorization: "Bearer secret-of-ada", cookie: "session=9c1" },
    });
    await ask("/orders", {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": "sk_live_1" },
      body: JSON.stringify({ sku: 1042, count: 2, gift: true }),
    });
  }

  const row = (page: Page, path: string) => page.locator(".list .row", { hasText: path });

  test("shows what comes while one looks, and what is secret only when asked", async () => {
    const page = await open();
    await page.getByText("No request yet").waitFor();
    expect(page.url()).not.toContain("t=");
    await busy();
    await row(page, "/orders").waitFor();
    await row(page, "/film.mp4").getByText("held back").waitFor();
    await row(page, "/dies").getByText("the origin broke the connection").waitFor();

    await row(page, "/products").click();
    await page.getByRole("tab", { name: "Headers" }).click();
    await page.getByText("Set-Cookie").waitFor();
    expect(await page.content()).not.toContain("secret-of-ada");
    await page.getByRole("button", { name: "Reveal secrets" }).click();
    await page.getByText("Bearer secret-of-ada").waitFor();
    await page.close();
  });

  test("streams are seen while they run: events come, and the window is drawn", async () => {
    const page = await open();
    await row(page, "/prices").click();
    await page.getByRole("tab", { name: "Stream" }).click();
    const count = async (): Promise<number> =>
      Number(await page.locator(".choice .count").first().textContent());
    await page.locator(".flow path.window").waitFor();
    const before = await count();
    await poll(async () => (await count()) > before + 3, "more events", SLOW_MS);
    await page.locator(".messages .line", { hasText: "price #2" }).first().click();
    await page.locator(".opened .name", { hasText: '"sku"' }).waitFor();
    const latest = page.getByRole("button", { name: "Latest" });
    await latest.click();
    await latest.waitFor({ state: "detached" });
    const last = page.locator(".messages .line").last();
    const said = await last.textContent();
    await poll(async () => (await last.textContent()) !== said, "that it goes on with it", SLOW_MS);
    expect(await latest.count()).toBe(0);

    await row(page, "/chat").click();
    await page.locator(".line.in", { hasText: "a cup of darjeeling" }).waitFor();
    await page.locator(".line.out", { hasText: '"said":"a cup' }).waitFor();
    await page.locator(".line.in.binary", { hasText: "010203feff" }).waitFor();

    await row(page, "/film.mp4").click();
    await page.locator(".flow rect.held").first().waitFor();
    await page.getByText("the visitor reads slower than the origin sends").waitFor();
    await page.close();
  });

  test("what an origin sends is never run, only shown", async () => {
    const page = await open();
    await row(page, "/page").click();
    await page.getByRole("tab", { name: "Body" }).click();
    await page.locator("pre", { hasText: "<h1>tea</h1>" }).waitFor();
    expect(await page.title()).toBe("Sluice");
    expect(await page.locator("h1").count()).toBe(0);
    await row(page, "/wrong.json").click();
    await page.getByText("No valid JSON: line 2, column 13").waitFor();
    await page.close();
  });

  test("keys move, filter, open and close; the filter narrows the list", async () => {
    const page = await open();
    await row(page, "/orders").waitFor();
    const selected = page.locator(".row.selected .path");
    await page.keyboard.press("j");
    const first = await selected.textContent();
    await page.keyboard.press("j");
    await poll(async () => (await selected.textContent()) !== first, "the next row", SLOW_MS);
    await page.keyboard.press("k");
    await poll(async () => (await selected.textContent()) === first, "the row before", SLOW_MS);
    await page.keyboard.press("Escape");
    await page.locator(".detail").waitFor({ state: "detached" });
    await page.keyboard.press("/");
    await page.keyboard.type("status:>=400 -dies");
    await poll(async () => (await page.locator(".list .row").count()) === 2, "two rows", SLOW_MS);
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.locator(".row.selected", { hasText: "/broken" }).waitFor();
    await page.close();
  });

  test("a request is replayed, edited, and seen beside the original", async () => {
    const page = await open();
    await row(page, "/orders").last().click();
    await page.getByRole("tab", { name: "Replay" }).click();
    await page.getByLabel("Body").fill('{"sku":1}');
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await row(page, "replay of").first().waitFor();
    await page.getByRole("button", { name: /^original \d+/ }).waitFor();
    await page.getByText(/differs from byte/).waitFor();
    await page.close();
  });

  test("a body is edited once it is loaded: nothing arrives in the middle of what is typed", async () => {
    const page = await open();
    const asked = Promise.withResolvers<void>();
    const arrive = Promise.withResolvers<void>();
    await page.route("**/request-body", async (route) => {
      asked.resolve();
      await arrive.promise;
      await route.continue();
    });
    await row(page, "/orders").last().click();
    await page.getByRole("tab", { name: "Replay" }).click();
    await within(asked.promise, "that the body is asked for", SLOW_MS);
    const body = page.getByLabel("Body");
    expect(await body.isEditable()).toBe(false);
    arrive.resolve();
    await page.locator("textarea:not([readonly])").nth(1).waitFor();
    expect(await body.inputValue()).toContain("sku");
    await page.close();
  });

  test("what changes faster than the agent answers is shown all the same", async () => {
    const page = await open();
    await page.route(/\/api\/exchanges\/\d+$/, async (route) => {
      // Several reports of a stream that sends every 120 ms.
      await new Promise((resolve) => setTimeout(resolve, 600));
      await route.continue();
    });
    await row(page, "/prices").click();
    await page.getByText("Request id").waitFor();
    await page.close();
  });

  test("a row that new ones push down while the button is pressed is the one that is chosen", async () => {
    const page = await open();
    const { id, box } = await poll(async () => {
      const each = row(page, "/products").first();
      const bounds = await each.boundingBox();
      return bounds === null ? undefined : { id: await each.getAttribute("id"), box: bounds };
    }, "the row");
    await page.mouse.move(box.x + 200, box.y + box.height / 2);
    await page.mouse.down();
    await ask("/pushes");
    await row(page, "/pushes").waitFor();
    await page.mouse.up();
    expect(await page.locator(".row.selected").getAttribute("id")).toBe(id);
    await page.close();
  });

  test("a paused list stays, says how many came meanwhile, and shows them when it goes on", async () => {
    const page = await open();
    await row(page, "/products").first().waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    const rows = page.locator(".list .row .path");
    const before = await rows.allTextContents();
    await ask("/paused/1");
    await ask("/paused/2");
    await page.getByText("Paused: 2 new requests.").waitFor();
    expect(await rows.allTextContents()).toEqual(before);
    await page.getByRole("button", { name: "Go on" }).click();
    await row(page, "/paused/2").waitFor();
    await page.close();
  });

  test("the status page has what the agent was started with, and no policy was offended", async () => {
    const page = await open();
    await page.getByRole("button", { name: "Status" }).click();
    await page.getByText("Configuration").waitFor();
    await page.getByText("--inspect-port").waitFor();
    // Round trips are of some moment, and the page says of which.
    await page.getByRole("cell", { name: /^[\d.]+ m?s\s*[\d.]+ m?s ago$/ }).waitFor();
    expect(await (await fetch(url.replace(/t=.*/, "t=wrong"))).text()).toContain(
      "URL that the agent printed",
    );
    await page.close();
  });

  test.skipIf(folder === undefined)("is photographed", async () => {
    for (const dark of [false, true]) {
      for (const narrow of [false, true]) {
        const page = await open({ dark, narrow });
        const name = `${narrow ? "narrow" : "wide"}-${dark ? "dark" : "light"}`;
        const shoot = async (what: string): Promise<void> => {
          await page.screenshot({ path: join(folder ?? "", `${what}-${name}.png`) });
        };
        await row(page, "/orders").first().waitFor();
        await shoot("list");
        const visit = async (path: string, tab: string, what: string): Promise<void> => {
          if (narrow) await page.keyboard.press("Escape");
          await row(page, path).first().click();
          await page.getByRole("tab", { name: tab }).click();
          await page.waitForTimeout(400);
          await shoot(what);
        };
        await visit("/prices", "Stream", "events");
        await page.locator(".messages .line").nth(3).click();
        await shoot("event");
        await visit("/film.mp4", "Stream", "film");
        await visit("/film.mp4", "Overview", "overview");
        await visit("/chat", "Stream", "chat");
        await visit("/products", "Headers", "headers");
        await visit("/products", "Body", "body");
        await visit("/wrong.json", "Body", "wrong");
        await visit("/orders", "Replay", "replay");
        await page.getByRole("button", { name: "Status" }).click();
        await page.getByText("Configuration").waitFor();
        await shoot("status");
        await page.close();
      }
    }
  });

  test("what is open is still there after all was cleared, and a replay of it can be stopped", async () => {
    const page = await open();
    await row(page, "/prices").click();
    await page.getByRole("button", { name: "Replay", exact: true }).click();
    const replay = row(page, "replay of");
    await replay.last().waitFor();
    await page.locator(".detail").getByRole("button", { name: "Stop" }).waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await row(page, "/products").first().waitFor({ state: "detached" });
    const paths = await page.locator(".list .row .path").allTextContents();
    expect(new Set(paths.map((path) => path.split("?")[0]))).toEqual(
      new Set(["/chat", "/film.mp4", "/prices"]),
    );
    await page.locator(".detail").getByRole("button", { name: "Stop" }).click();
    await replay.getByText("the visitor went away").waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await replay.waitFor({ state: "detached" });
    await page.locator(".detail").waitFor({ state: "detached" });
    await page.close();
  });

  test("what is being edited stays when more requests have come than are kept", async () => {
    const page = await open();
    await ask("/orders", { method: "POST", body: "{}" });
    await row(page, "/orders").first().click();
    await page.getByRole("tab", { name: "Replay" }).click();
    await page.locator("textarea:not([readonly])").nth(1).waitFor();
    await page.getByLabel("Body").fill("hours of work");
    for (let round = 0; round < 1000 / 50; round++) {
      await Promise.all(Array.from({ length: 50 }, () => ask("/flood")));
    }
    await page.locator("footer", { hasText: "1,000 of" }).waitFor();
    await page.getByLabel("Filter").fill("orders");
    await page.getByText("No request matches").waitFor();
    expect(await page.getByLabel("Body").inputValue()).toBe("hours of work");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByRole("alert").getByText("not kept any more").waitFor();
    // The refusal is in the console too.
    await poll(() => faults.length > 0, "that the console says so", SLOW_MS);
    expect(faults.splice(0)).toEqual([expect.stringContaining("404")]);
    await page.getByRole("button", { name: "Clear" }).click();
    await page.locator(".detail").waitFor({ state: "detached" });
    await page.close();
  });
});
