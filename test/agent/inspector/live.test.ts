/** What is told to the browsers that look, and what one that does not read costs. */
import type { ServerResponse } from "node:http";
import { Writable } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Capture } from "../../../agent/inspector/capture.ts";
import { Live } from "../../../agent/inspector/live.ts";
import { endWell, opened } from "./seen.ts";

/** More than the agent keeps for a browser that does not read: 256 KiB and what was written last. */
const MUCH = 600 * 1024;

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** A browser, with no buffer of the kernel's between, that takes what it is sent only while it reads. */
class Browser extends Writable {
  text = "";
  reads = true;
  #held: (() => void) | undefined;

  override _write(chunk: Buffer, _encoding: string, taken: () => void): void {
    const take = (): void => {
      this.text += chunk.toString();
      taken();
    };
    if (this.reads) take();
    else this.#held = take;
  }

  readsAgain(): void {
    this.reads = true;
    this.#held?.();
  }
}

function join(live: Live): Browser {
  const browser = new Browser();
  expect(live.join(browser as unknown as ServerResponse)).toBe(true);
  return browser;
}

test("who does not read is not waited for: it misses what there is, and asks for the list when it reads again", async () => {
  const capture = new Capture();
  const live = new Live(capture);
  const reader = join(live);
  const sleeper = join(live);
  sleeper.reads = false;
  const path = `/${"x".repeat(6000)}`;
  while (reader.text.length < 4 * MUCH) {
    for (let i = 0; i < 10; i++) endWell(opened(capture.of("shop"), { path }));
    vi.advanceTimersByTime(120);
    expect(sleeper.writableLength).toBeLessThan(MUCH);
  }
  sleeper.readsAgain();
  await vi.waitFor(() => expect(sleeper.text).toContain("event: resync"));
  expect(sleeper.text.length).toBeLessThan(MUCH);
  expect(reader.text).not.toContain("event: resync");
  for (const browser of [reader, sleeper]) browser.destroy();
});
