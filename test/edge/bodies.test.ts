/** What the edge does with the bodies of one exchange, watched from the agent's end of it. */
import { expect, type Mock, test, vi } from "vitest";
import type { ResponseHead } from "../../codec/frame.ts";
import { Pace } from "../../edge/pace.ts";
import { sendBody } from "../../edge/request.ts";
import { answer, type AnswerWatch } from "../../edge/response.ts";
import { Totals } from "../../edge/totals.ts";
import { bodyOf } from "./support/agent.ts";
import { open, type Opened } from "./support/pair.ts";

const head: ResponseHead = { status: 200, reason: "OK", headers: [], length: "unknown" };

const own = { id: "1", timing: undefined };

function watching(): AnswerWatch & { tally: Totals; over: Mock<AnswerWatch["over"]> } {
  const over = vi.fn<AnswerWatch["over"]>();
  return { about: {}, tally: new Totals(), pace: new Pace(), over };
}

/** The agent's cancel, whenever it comes. */
function cancelOf({ there }: Opened): Promise<string> {
  return new Promise((resolve) => (there.onCancel = ({ code }) => resolve(code)));
}

test("an answer that was read to its end leaves nothing promised", async () => {
  const opened = await open();
  opened.there.respond(head);
  const watch = watching();
  const response = answer(opened.here, await opened.here.answer(), own, watch);
  for (let i = 0; i < 10; i++) opened.there.outgoing.write(new Uint8Array(1_000));
  opened.there.outgoing.end();
  expect((await response.arrayBuffer()).byteLength).toBe(10_000);
  expect(opened.edge.promisedBytes).toBe(0);
  expect(watch.over.mock.calls).toEqual([[undefined]]);
  expect(watch.tally.bytesToVisitors).toBe(10_000);
  expect(watch.pace.heldBytes).toBe(0);
});

test("an answer exactly as long as one piece leaves nothing promised", async () => {
  const opened = await open();
  opened.there.respond(head);
  opened.there.outgoing.write(new Uint8Array(65_536));
  opened.there.outgoing.end();
  const response = answer(opened.here, await opened.here.answer(), own, watching());
  expect((await response.arrayBuffer()).byteLength).toBe(65_536);
  expect(opened.edge.promisedBytes).toBe(0);
});

test("an answer whose visitor leaves is cancelled at the agent and leaves nothing promised", async () => {
  const opened = await open();
  const cancelled = cancelOf(opened);
  opened.there.respond(head);
  opened.there.outgoing.write(new Uint8Array(200_000));
  const watch = watching();
  const response = answer(opened.here, await opened.here.answer(), own, watch);
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  expect(await cancelled).toBe("cancelled");
  expect(opened.edge.promisedBytes).toBe(0);
  expect(watch.over.mock.calls).toEqual([["cancelled"]]);
  expect(watch.pace.heldBytes).toBe(0);
});

test("a body that may not be is dropped, and its memory with it", async () => {
  const opened = await open();
  opened.there.respond({ ...head, status: 204, length: 4 });
  opened.there.outgoing.write(new Uint8Array(4));
  opened.there.outgoing.end();
  const response = answer(opened.here, await opened.here.answer(), own, watching());
  expect(response.body).toBeNull();
  expect(opened.edge.promisedBytes).toBe(0);
});

test("a cut answer errors, and says so once", async () => {
  const opened = await open();
  opened.there.respond({ ...head, length: 10 });
  opened.there.outgoing.write(new Uint8Array(4));
  const watch = watching();
  const response = answer(opened.here, await opened.here.answer(), own, watch);
  const body = response.arrayBuffer();
  opened.there.cancel("origin-reset");
  await expect(body).rejects.toThrow();
  expect(watch.over.mock.calls).toEqual([["origin-reset"]]);
  expect(opened.edge.promisedBytes).toBe(0);
});

test("pieces of a large chunk are handed over in order", async () => {
  const opened = await open();
  opened.there.respond(head);
  const watch = watching();
  // As if much were held already: pulls are small.
  watch.pace.heldBytes = 1e9;
  const response = answer(opened.here, await opened.here.answer(), own, watch);
  const bytes = new Uint8Array(50_001).map((_, i) => i * 31 + (i >> 8));
  opened.there.outgoing.write(bytes);
  opened.there.outgoing.end();
  const sizes: number[] = [];
  const got: number[] = [];
  for await (const chunk of response.body ?? []) {
    sizes.push(chunk.byteLength);
    got.push(...chunk);
  }
  expect(Math.max(...sizes)).toBe(4096);
  expect(Uint8Array.from(got)).toEqual(bytes);
});

test.each([
  [1, 1_000],
  [16_383, 3],
  [16_384, 3],
  [65_536, 4],
  [100_000, 4],
])("uploads in chunks of %i arrive exact", async (size, chunks) => {
  for (const length of [size * chunks, "unknown"] as const) {
    const opened = await open({ method: "POST", length });
    let sent = 0;
    const body = new ReadableStream({
      type: "bytes",
      pull(controller) {
        if (sent === chunks) controller.close();
        else controller.enqueue(new Uint8Array(size).fill(0x61 + (sent++ % 26)));
        if (sent === chunks) controller.byobRequest?.respond(0);
      },
    });
    const totals = new Totals();
    const sending = sendBody(body, opened.here, totals);
    const text = await bodyOf(opened.there);
    await sending;
    expect(text.length).toBe(size * chunks);
    const last = String.fromCharCode(0x61 + ((chunks - 1) % 26));
    expect([text[0], text.at(-1)]).toEqual(["a", last]);
    expect(totals.bytesFromVisitors).toBe(size * chunks);
  }
});

test("an upload that stands still ends when the agent needs no more of it", async () => {
  const opened = await open({ method: "POST", length: "unknown" });
  const cancel = vi.fn();
  const body = new ReadableStream({ type: "bytes", cancel });
  const sending = sendBody(body, opened.here, new Totals());
  opened.there.cancel("not-needed");
  await sending;
  expect(cancel).toHaveBeenCalledOnce();
});

test("an upload that the visitor cuts cancels the exchange at the agent", async () => {
  const opened = await open({ method: "POST", length: "unknown" });
  const cancelled = cancelOf(opened);
  const body = new ReadableStream({
    type: "bytes",
    pull: (controller) => controller.error(new Error("gone")),
  });
  await sendBody(body, opened.here, new Totals());
  expect(await cancelled).toBe("cancelled");
});

test("an upload shorter than it said is a mismatch, never a clean end", async () => {
  const opened = await open({ method: "POST", length: 10 });
  const cancelled = cancelOf(opened);
  await sendBody(new Blob(["short"]).stream(), opened.here, new Totals());
  expect(await cancelled).toBe("body-mismatch");
});
