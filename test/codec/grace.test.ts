/** What a session is left when its socket is gone, by how it went. */
import { describe, expect, test } from "vitest";
import { type ErrorCode, errors } from "../../codec/errors.ts";
import { DEAD_AFTER_MS, GRACE_MS } from "../../codec/limits.ts";
import { watchRejections } from "../support/exchanges.ts";
import { closeCode, ListenerScene } from "../support/listening.ts";

watchRejections();

describe("a socket that is lost", () => {
  test("takes a session with nothing under way along at once", () => {
    const scene = new ListenerScene();
    scene.listener.lost(scene.greet(), 1006, "");
    expect([scene.told, scene.platform.timers, scene.listener.knows("agent")]).toEqual([
      ["s1 greeted", "s1 left"],
      0,
      false,
    ]);
  });

  test.each([
    ["it was silent", "agent-stalled"],
    ["it broke", "agent-lost"],
  ])("leaves exchanges the grace, and what they fail with says that %s", (how, code) => {
    const scene = new ListenerScene();
    const transport = scene.greet();
    const exchange = scene.open();
    if (how === "it broke") scene.listener.lost(transport, 1006, "");
    else {
      scene.clock.now += DEAD_AFTER_MS;
      scene.listener.tick();
      expect(transport.closed?.code).toBe(1001);
      // Its end is told later, and is no news.
      scene.listener.lost(transport, 1001, "");
    }
    scene.pass(GRACE_MS - 1);
    expect([exchange.error, scene.told]).toEqual([undefined, ["s1 greeted"]]);
    scene.pass(1);
    expect([exchange.error?.code, scene.told, scene.platform.timers]).toEqual([
      code,
      ["s1 greeted", "s1 left"],
      0,
    ]);
  });

  test("leaves an agent that was silent the grace too: it may come back", () => {
    const scene = new ListenerScene();
    const transport = scene.greet();
    const exchange = scene.open();
    scene.receive(transport, { kind: "ping", token: 1 });
    scene.clock.now += DEAD_AFTER_MS;
    scene.listener.tick();
    scene.greet({ session: "s1", received: 2 });
    scene.pass(GRACE_MS);
    expect([exchange.error, scene.member("s1").session.ready]).toEqual([undefined, true]);
  });

  test.each(
    Object.entries(errors)
      .filter(([, { ends }]) => ends === "session")
      .map(([code]) => code as ErrorCode),
  )("with the code of %s ends its session at once, with that", (code) => {
    const scene = new ListenerScene();
    const transport = scene.greet();
    const exchange = scene.open();
    scene.listener.lost(transport, closeCode(code), "why");
    expect(exchange.error).toMatchObject({ code, note: "why" });
    expect([scene.told, scene.platform.timers]).toEqual([["s1 greeted", "s1 left"], 0]);
  });

  test.each([
    ["of our range that the table does not know", 4999],
    ["that ends a stream and no session", closeCode("cancelled")],
  ])("with a code %s ends its session at once too", (_, code) => {
    const scene = new ListenerScene();
    const transport = scene.greet();
    const exchange = scene.open();
    scene.listener.lost(transport, code, "");
    expect(exchange.error?.code).toBe("agent-lost");
  });

  test.each([1000, 1001, 1005, 1006, 1011, 3999, 5000])(
    "with %i, which is no code of ours, leaves it the grace",
    (code) => {
      const scene = new ListenerScene();
      const transport = scene.greet();
      const exchange = scene.open();
      scene.listener.lost(transport, code, "");
      expect([exchange.error, scene.platform.timers]).toEqual([undefined, 1]);
    },
  );
});
