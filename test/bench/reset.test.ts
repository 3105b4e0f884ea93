/** A reset of a connection is one in whatever state it is, and leaves nothing of it. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { reset } from "../../bench/site/reset.ts";
import { within } from "../support/until.ts";

/** Both ends of a connection. */
async function connected(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const near = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [
    [Socket],
    unknown,
  ];
  server.close();
  return { near, far };
}

test.each<[string, (near: Socket) => void]>([
  ["nothing was sent", () => {}],
  ["much waits that nobody reads", (near) => near.write(Buffer.alloc(16e6))],
  ["its end was just asked for", (near) => near.end()],
  ["its end was just asked for, behind a few bytes", (near) => near.end("bye")],
  ["its end was just asked for, behind what nobody reads", (near) => near.end(Buffer.alloc(16e6))],
])("a connection is reset when %s", async (_when, before) => {
  const { near, far } = await connected();
  const errors: Error[] = [];
  near.on("error", (error) => errors.push(error));
  const closed = once(near, "close");
  before(near);
  reset(near);
  await within(closed, "the connection's close");
  expect(errors).toEqual([]);
  // Who has read the end only learns of a reset by writing.
  const failed = once(far, "error");
  far.write("still there?");
  far.resume();
  expect((await within(failed, "the reset"))[0]).toMatchObject({
    code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/),
  });
});
