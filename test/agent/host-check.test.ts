/** An origin that turns visitors away for the name that they came by is recognised, where it was told that name. */
import { afterEach, describe, expect, test } from "vitest";
import { RawOrigin } from "../support/origin.ts";
import { readAll } from "./pair.ts";
import { TunnelEnd } from "./tunnel-end.ts";

let origin: RawOrigin | undefined;
let end: TunnelEnd | undefined;

afterEach(async () => {
  await end?.stop();
  await origin?.stop();
});

const visited = ["x-forwarded-host", "shop.example.com", "x-forwarded-proto", "https"];

interface Asked {
  /** What the origin says to whatever it is asked. */
  readonly answer: string;
  readonly publicName?: boolean;
  /** The `Origin` of the page that asks for a WebSocket; undefined for an ordinary request. */
  readonly page?: string;
}

/** How often the origin was found to turn a name away, after one request. */
async function found({ answer, publicName = true, page }: Asked): Promise<number> {
  let times = 0;
  origin = await RawOrigin.start((socket) => {
    socket.once("data", () => socket.end(answer));
  });
  end = await TunnelEnd.to(origin.port, { publicName, nameRefused: () => times++ });
  const exchange =
    page === undefined
      ? end.ask({ headers: visited })
      : end.ask({ headers: [...visited, "origin", page], length: "socket" });
  // A WebSocket that is refused without HTTP has no answer.
  await exchange.answer().then(
    () => readAll(exchange),
    () => {},
  );
  await end.report();
  return times;
}

const forbidden = (body: string): string =>
  `HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

describe("an answer", () => {
  test.each([
    [
      "Rails'",
      forbidden(`<style>${" ".repeat(5000)}</style><h1>Blocked host: shop.example.com</h1>`),
    ],
    ["a newer Rails'", forbidden("<h1>Blocked hosts: shop.example.com</h1>")],
    ["webpack-dev-server's", forbidden("Invalid Host header")],
    ["Vite's", forbidden('Blocked request. This host ("shop.example.com") is not allowed.')],
  ])("that is %s refusal of a name is found", async (_whose, answer) => {
    expect(await found({ answer })).toBe(1);
  });

  test.each([
    ["another 403", forbidden("You may not see this.")],
    ["a page that only has the words", forbidden("Invalid Host header").replace("403", "200")],
  ])("that is %s is not taken for one", async (_what, answer) => {
    expect(await found({ answer })).toBe(0);
  });

  test("is not looked at where the origin was not told the name", async () => {
    const answer = forbidden("Invalid Host header");
    expect(await found({ answer, publicName: false })).toBe(0);
  });
});

describe("a WebSocket", () => {
  const page = "https://shop.example.com";

  test.each([
    ["by HTTP", forbidden("")],
    ["as Next refuses it, without HTTP", "Unauthorized"],
  ])("of the origin's own page that is refused, %s, is found", async (_how, answer) => {
    expect(await found({ answer, page })).toBe(1);
  });

  test("of another site's page may be refused", async () => {
    expect(await found({ answer: "Unauthorized", page: "https://evil.example" })).toBe(0);
  });

  test("of the origin's own page may be refused for another reason", async () => {
    const answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    expect(await found({ answer, page })).toBe(0);
  });
});
