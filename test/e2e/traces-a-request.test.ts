/** One request followed from the visitor to the origin and back: by its name, and by what took how long. */
import { describe, expect, test } from "vitest";
import { type Answer, Visitor } from "../support/raw-http.ts";
import { poll } from "../support/until.ts";
import { statusOf } from "../support/use-faulty-tunnel.ts";
import { SERVICE, useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel({ agent: ["--concurrency", "1"] });

function valueOf({ fields }: Pick<Answer, "fields">, wanted: string): string | undefined {
  return fields.find(([name]) => name.toLowerCase() === wanted)?.[1];
}

describe("a request has one name", () => {
  test.each([
    ["", undefined, /^[0-9a-f-]{13}-\d+$/],
    [
      ", which is Cloudflare's where there is one",
      "8f3c1d2e4b5a6978-FRA",
      /^8f3c1d2e4b5a6978-FRA$/,
    ],
  ])("at the visitor, the origin and the agent%s", async (_, ray, expected) => {
    const target = `/named-${ray === undefined ? "here" : "there"}`;
    tunnel.origin.on(target, ({ response }) => void response.end("x"));
    const arrival = tunnel.origin.next();
    const fields = ray === undefined ? [] : [["CF-Ray", ray] as const];
    const answer = await Visitor.ask(tunnel.through, { target, fields });
    const id = valueOf(answer, "sluice-request-id");
    expect(id).toMatch(expected);
    expect(valueOf(await arrival, "sluice-request-id")).toBe(id);
    const reported = await tunnel.agent.event("request", ({ path }) => path === target);
    expect(reported["id"]).toBe(id);
  });
});

/** The metrics of an answer's Server-Timing, in milliseconds. */
function timing(answer: Answer): Record<string, number> {
  const field = valueOf(answer, "server-timing") ?? "";
  const metrics = field.split(", ").map((metric) => metric.split(";dur="));
  return Object.fromEntries(metrics.map(([name, ms]) => [name, Number(ms)]));
}

describe("a request that asks what took how long", () => {
  const asking = [["Sluice-Timing", "1"]] as const;

  test("is told: the origin's time is the origin's", async () => {
    tunnel.origin.on("/slow", ({ response }) => void setTimeout(() => response.end("x"), 60));
    const arrival = tunnel.origin.next();
    const answer = await Visitor.ask(tunnel.through, { target: "/slow", fields: asking });
    const took = timing(answer);
    expect(Object.keys(took)).toEqual(["queue", "slot", "tunnel", "origin", "stalled"]);
    expect(took["origin"]).toBeGreaterThanOrEqual(59);
    expect(valueOf(await arrival, "sluice-timing")).toBeUndefined();
    expect(valueOf(answer, "sluice-timing")).toBeUndefined();
  });

  test("is told that it waited for a slot of its agent", async () => {
    const held = Promise.withResolvers<() => void>();
    tunnel.origin.on("/held", ({ response }) => held.resolve(() => void response.end("x")));
    tunnel.origin.on("/next", ({ response }) => void response.end("x"));
    const first = Visitor.ask(tunnel.through, { target: "/held" });
    const release = await held.promise;
    const second = Visitor.ask(tunnel.through, { target: "/next", fields: asking });
    const token = await tunnel.edge.token({ service: SERVICE });
    await poll(
      async () => (await statusOf(tunnel.edge, SERVICE, token)).agents[0]?.streams === 2,
      "both are on their way",
    );
    setTimeout(release, 50);
    expect((await first).status).toBe(200);
    const { slot = 0, origin = Infinity } = timing(await second);
    expect(slot).toBeGreaterThan(origin);
  });

  test("is told nothing when it does not ask", async () => {
    tunnel.origin.on("/quiet", ({ response }) => {
      response.setHeader("server-timing", "db;dur=5").end("x");
    });
    const answer = await Visitor.ask(tunnel.through, { target: "/quiet" });
    expect(valueOf(answer, "server-timing")).toBe("db;dur=5");
  });
});
