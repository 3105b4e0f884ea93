/** Two ends whose sockets are cut at any moment: what is written arrives once and in order, and nothing is left behind. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { patterned } from "../support/arbitraries.ts";
import { ok, opened, readAll, watchRejections } from "../support/exchanges.ts";

watchRejections();

test("whatever is cut and when, every byte arrives once and in order, and nothing is left", async () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("write" as const), bytes: fc.nat(70_000) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("read" as const), bytes: fc.nat(9) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant("move" as const), bytes: fc.nat(6) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("cut" as const), bytes: fc.nat(3) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const { pair, edge, agent } = await opened();
      agent.respond(ok);
      const ways = [
        { from: edge, to: agent, sent: 0, got: [] as Uint8Array[] },
        { from: agent, to: edge, sent: 0, got: [] as Uint8Array[] },
      ];
      for (const { do: what, bytes } of steps) {
        for (const way of ways) {
          if (what === "write") {
            way.from.outgoing.write(patterned(bytes, way.sent));
            way.sent += bytes;
          } else if (what === "read") {
            const chunk = way.to.incoming.take();
            if (chunk !== undefined) way.got.push(Uint8Array.from(chunk));
          }
        }
        if (what === "move") {
          pair.edge.transport.turn();
          pair.agent.transport.turn();
          pair.deliver("edge", bytes);
          pair.deliver("agent", bytes);
        } else if (what === "cut") {
          if (bytes === 0) pair.cut("agent");
          else pair.cut();
          pair.redial();
          if (bytes === 1) pair.deliver("edge");
        }
      }
      for (const { from } of ways) from.outgoing.end();
      for (const way of ways) {
        way.got.push(await readAll(pair, way.to));
        expect(Buffer.concat(way.got).equals(patterned(way.sent, 0))).toBe(true);
      }
      await pair.settle();
      for (const { session } of [pair.edge, pair.agent]) {
        expect([session.streams, session.promisedBytes, session.bufferedBytes]).toEqual([0, 0, 0]);
      }
    }),
    { numRuns: 60 },
  );
}, 30_000);
