/**
 * `agent connect -- rails server`, a new Rails app as its generator makes it: by both kinds of URL and by names that it does
 * not know, its host authorization lets visitors in, a session and a form with its token work, and redirects stay in the tunnel.
 * Told the visitor's name it turns it away, and the agent says what helps.
 *
 * The names are none of this machine's on purpose: those below `localhost` Rails lets in anyway.
 */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Program } from "../support/program.ts";
import { type Answer, type Place, values, Visitor } from "../support/raw-http.ts";
import { Edge } from "../support/tunnel.ts";

const START_MS = 60_000;

const version = spawnSync("rails", ["--version"], { encoding: "utf8" });
const there = version.status === 0;
if (!there) {
  process.stderr.write(
    "Rails is skipped: there is no `rails` here (Debian: ruby-rails and puma)\n",
  );
}

const routes = `
  Rails.application.routes.draw do
    root "tea#index"
    post "/pour", to: "tea#pour"
  end
`;

const controller = `
  class TeaController < ApplicationController
    def index
      render inline: "<p><%= session[:cups] || 0 %> cups</p><%= form_tag '/pour' do %><% end %>"
    end

    def pour
      session[:cups] = (session[:cups] || 0) + 1
      redirect_to root_url
    end
  end
`;

/** A new app with one page. Of its gems only those that are needed: nothing is installed. */
async function newApp(): Promise<string> {
  const folder = join(await mkdtemp(join(tmpdir(), "sluice-rails-")), "shop");
  const without = ["bundle", "git", "javascript", "active-record", "sprockets", "listen", "spring"];
  const flags = ["--minimal", "--quiet", ...without.map((part) => `--skip-${part}`)];
  const made = spawnSync("rails", ["new", folder, ...flags], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`rails new: ${made.stderr}`);
  await writeFile(join(folder, "Gemfile"), 'gem "rails"\ngem "puma"\n');
  await writeFile(join(folder, "config/routes.rb"), routes);
  await writeFile(join(folder, "app/controllers/tea_controller.rb"), controller);
  await mkdir(join(folder, "tmp/pids"), { recursive: true });
  return folder;
}

describe.runIf(there)("Rails", () => {
  let edge: Edge;
  let folder: string;
  let agent: Program;
  /** Where Rails itself listens. */
  let port: number;

  beforeAll(async () => {
    edge = await Edge.start(["--domain", "tunnel.test"]);
    folder = await newApp();
    const token = join(edge.directory, "token");
    await writeFile(token, await edge.token({ service: "shop" }));
    const to = ["--edge", edge.url, "--service", "shop", "--token-file", token, "--json"];
    const command = ["bin/rails", "server", "-b", "127.0.0.1", "-p", "0"];
    agent = Program.agent(["connect", ...to, "--", ...command], { cwd: folder });
    await agent.event("connected", undefined, 0, START_MS);
    port = Number(/listens on http:\/\/localhost:(\d+)/.exec(agent.stderr)?.[1]);
  }, START_MS);

  afterAll(async () => {
    await agent.stop();
    await edge.stop();
    await rm(join(folder, ".."), { recursive: true, force: true });
  }, START_MS);

  const byHost = (): Place => ({
    port: edge.port,
    host: `shop.tunnel.test:${edge.port}`,
    prefix: "",
  });
  const byPrefix = (): Place => ({
    port: edge.port,
    host: `sluice.test:${edge.port}`,
    prefix: "/send/shop",
  });

  /** What a browser does with the form, and what it sees then. */
  async function pour(place: Place, origin: string): Promise<{ poured: Answer; seen: string }> {
    const page = await Visitor.ask(place, { target: "/" });
    expect([page.status, page.body.toString()]).toEqual([200, expect.stringContaining("0 cups")]);
    const key = /name="authenticity_token" value="([^"]+)"/.exec(page.body.toString())?.[1] ?? "";
    const poured = await Visitor.ask(place, {
      method: "POST",
      target: "/pour",
      fields: [
        ["origin", origin],
        ["cookie", cookieOf(page)],
        ["content-type", "application/x-www-form-urlencoded"],
      ],
      body: `authenticity_token=${encodeURIComponent(key)}`,
    });
    if (poured.status !== 302) return { poured, seen: "" };
    const after = await Visitor.ask(place, { target: "/", fields: [["cookie", cookieOf(poured)]] });
    return { poured, seen: after.body.toString() };
  }

  test.each([
    ["by a host name", byHost, "/"],
    ["below a prefix", byPrefix, "/send/shop/"],
  ])(
    "has visitors %s, whose session, form and redirect are their own",
    async (_way, place, home) => {
      const { poured, seen } = await pour(place(), `http://${place().host}`);
      expect(poured.status).toBe(302);
      const [location = ""] = values(poured.fields, "location");
      expect(new URL(location, `http://${place().host}`).href).toBe(
        `http://${place().host}${home}`,
      );
      expect(seen).toContain("1 cups");
    },
  );

  test("takes no form from another site's page", async () => {
    expect((await pour(byHost(), "http://evil.example")).poured.status).toBe(422);
  });

  test("turns away who comes by a name of his own, so that it is no luck that ours may pass", async () => {
    const place = { port, host: `shop.tunnel.test:${edge.port}`, prefix: "" };
    const answer = await Visitor.ask(place, { target: "/" });
    expect([answer.status, answer.body.toString()]).toEqual([
      403,
      expect.stringContaining("Blocked host"),
    ]);
  });

  test("started by itself it learns the visitor's name and refuses it; the agent says once what helps, and that does help", async () => {
    const known = await edge.agent({ service: "told", port });
    const place = { port: edge.port, host: `told.tunnel.test:${edge.port}`, prefix: "" };
    expect((await Visitor.ask(place, { target: "/" })).status).toBe(403);
    const warning = await known.event("warning", ({ code }) => code === "name-refused");
    expect(warning["message"]).toContain("--no-public-name");
    expect((await Visitor.ask(place, { target: "/" })).status).toBe(403);
    await known.stop();
    expect(known.events.filter(({ event }) => event === "warning")).toHaveLength(1);

    await edge.agent({ service: "untold", port, flags: ["--no-public-name"] });
    const { poured, seen } = await pour(
      { ...place, host: `untold.tunnel.test:${edge.port}` },
      `http://untold.tunnel.test:${edge.port}`,
    );
    expect([poured.status, seen]).toEqual([302, expect.stringContaining("1 cups")]);
  });
});

function cookieOf({ fields }: Answer): string {
  return values(fields, "set-cookie")
    .map((cookie) => cookie.split(";")[0])
    .join("; ");
}
