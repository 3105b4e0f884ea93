import { expect, test } from "vitest";
import { Patience, WINDOW_MS } from "../../agent/origin/patience.ts";

test("an origin that refuses is tried every 100 ms until the window is over", () => {
  const patience = new Patience();
  let ms = 50_000;
  let tries = 0;
  for (;;) {
    const wait = patience.refused(ms);
    if (wait === undefined) break;
    expect(wait).toBe(100);
    ms += wait;
    tries++;
  }
  expect(tries).toBe(WINDOW_MS / 100);
});

test("while one that stays away is asked for, nobody waits for it any more", () => {
  const patience = new Patience();
  for (let ms = 0; ms <= WINDOW_MS; ms += 100) patience.refused(ms);
  for (let ms = WINDOW_MS + 100; ms < 20_000; ms += 1000) {
    expect(patience.refused(ms)).toBeUndefined();
  }
});

test("after a pause it is waited for again", () => {
  const patience = new Patience();
  for (let ms = 0; ms <= WINDOW_MS; ms += 100) patience.refused(ms);
  expect(patience.refused(2 * WINDOW_MS + 1)).toBe(100);
});
