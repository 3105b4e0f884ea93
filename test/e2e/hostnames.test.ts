/**
 * One site, reached by a host name of its own and below a prefix: what a browser does with redirects, cookies and links
 * leads to the same pages. The browser is curl, which keeps cookies, follows redirects and knows `*.localhost`.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { Program } from "../support/program.ts";
import { values, Visitor } from "../support/raw-http.ts";
import { SERVICE, useTunnel } from "../support/use-tunnel.ts";
import type { Received } from "../support/origin.ts";

const tunnel = useTunnel();

/** A site as frameworks make them: its redirects are an absolute path, an URL of what it thinks its host is, or a relative one. */
function redirect({ request, response }: Received, location: string): void {
  response.writeHead(302, { location, "set-cookie": "session=41; Path=/; HttpOnly" });
  response.end(`from ${request.url}`);
}

beforeAll(() => {
  const { origin } = tunnel;
  origin.on("/login", (received) => {
    const to = new URLSearchParams(received.target.split("?")[1]).get("to");
    const {
      host,
      "x-forwarded-host": visited,
      "x-forwarded-proto": proto,
    } = received.request.headers;
    if (to === "path") redirect(received, "/account?from=login#top");
    else if (to === "host") redirect(received, `http://${host}/account`);
    else if (to === "visited") redirect(received, `${String(proto)}://${String(visited)}/account`);
    else if (to === "relative") redirect(received, "account");
    else redirect(received, "https://accounts.example/");
  });
  origin.on("/account", ({ request, response }) => {
    const known = request.headers.cookie?.includes("session=41") === true;
    response.writeHead(known ? 200 : 401, { "content-type": "text/html" });
    response.end(known ? '<link href="/style.css"><a href="news?page=2">' : "who are you?");
  });
  origin.on("/style.css", ({ response }) => response.end("body {}"));
});

/** What curl prints: the page at the end of all redirects, and where that was. */
async function browse(url: string): Promise<{ readonly page: string; readonly at: string }> {
  const flags = ["-s", "-L", "--max-redirs", "5", "-c", "-", "-o", "-"];
  const curl = Program.start("curl", [...flags, "-w", "\nat %{url_effective} %{http_code}\n", url]);
  await curl.exit();
  const at = curl.lines.findIndex((line) => line.startsWith("at "));
  return { page: curl.lines.slice(0, at).join("\n"), at: curl.lines[at] ?? "" };
}

const ways: readonly (readonly [string, () => string])[] = [
  ["by a host name", () => `http://${SERVICE}.localhost:${tunnel.edge.port}`],
  ["below a prefix", () => `http://localhost:${tunnel.edge.port}/send/${SERVICE}`],
];

describe.each(ways)("%s", (_way, base) => {
  test.each(["path", "host", "visited", "relative"])(
    "a login ends at the account, whichever kind of redirect leads there (%s)",
    async (to) => {
      const { page, at } = await browse(`${base()}/login?to=${to}`);
      expect(page).toContain('<link href="/style.css">');
      expect(at).toMatch(/ 200$/);
      expect(at).toContain(`${base()}/account`);
    },
  );

  test("a redirect to another site is the visitor's to follow", async () => {
    const url = new URL(`${base()}/login?to=other`);
    const place = { port: tunnel.edge.port, host: url.host, prefix: "" };
    const answer = await Visitor.ask(place, { target: url.pathname + url.search });
    expect(values(answer.fields, "location")).toEqual(["https://accounts.example/"]);
    expect(values(answer.fields, "set-cookie")).toEqual(["session=41; Path=/; HttpOnly"]);
  });
});

test("an absolute link in a page leads somewhere only by a host name: bodies are never rewritten", async () => {
  const link = (base: string): Promise<{ at: string; page: string }> =>
    browse(new URL("/style.css", base).href);
  expect(await link(`http://${SERVICE}.localhost:${tunnel.edge.port}/account`)).toMatchObject({
    page: "body {}",
  });
  const { at } = await link(`http://localhost:${tunnel.edge.port}/send/${SERVICE}/account`);
  expect(at).toMatch(/ 404$/);
});

test("a visitor cannot say what the prefix is", async () => {
  const host = `${SERVICE}.localhost:${tunnel.edge.port}`;
  const answer = await Visitor.ask(
    { port: tunnel.edge.port, host, prefix: "" },
    { target: "/login?to=path", fields: [["X-Forwarded-Prefix", "/evil"]] },
  );
  expect(values(answer.fields, "location")).toEqual(["/account?from=login#top"]);
});

describe("with --no-rewrite-location", () => {
  let untouched = { port: 0, host: "", prefix: "" };
  beforeAll(async () => {
    const flags = ["--no-rewrite-location"];
    const service = "untouched";
    await tunnel.edge.agent({ service, port: tunnel.origin.port, flags });
    untouched = { ...tunnel.edge.place(service) };
  });

  test("redirects are passed on as they are", async () => {
    const answer = await Visitor.ask(untouched, { target: "/login?to=path" });
    expect(values(answer.fields, "location")).toEqual(["/account?from=login#top"]);
  });
});
