/** Lines and a living foot, as a terminal shows them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { FRAME_MS, Screen } from "../../agent/terminal/screen.ts";
import { Clock } from "../support/clock.ts";
import { Vt } from "../support/vt.ts";

function opened(columns = 40, rows = 10) {
  const clock = new Clock();
  const vt = new Vt(columns, rows);
  const writes: string[] = [];
  let foot: readonly string[] = [];
  const screen = new Screen({
    tty: {
      get columns() {
        return vt.columns;
      },
      get rows() {
        return vt.rows;
      },
      write(text) {
        writes.push(text);
        vt.write(text);
      },
    },
    now: clock.now,
    after: clock.after,
    foot: (wide) => foot.map((line) => line.slice(0, wide)),
  });
  const show = (...lines: string[]): void => {
    foot = lines;
    screen.changed();
  };
  return { clock, vt, writes, screen, show };
}

test("a line that comes after a quiet moment is there at once; more are there a tenth of a second later, in one write", () => {
  const { clock, vt, writes, screen } = opened();
  screen.print(["one"]);
  expect(vt.text).toBe("one");
  screen.print(["two"]);
  screen.print(["three"]);
  expect(vt.text).toBe("one");
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("one\ntwo\nthree");
  expect(writes).toHaveLength(2);
});

test("lines appear above the foot, which stays at the bottom and is drawn in place", () => {
  const { clock, vt, screen, show } = opened();
  show("a stream: 1 kB");
  clock.pass(FRAME_MS);
  screen.print(["a request"]);
  clock.pass(FRAME_MS);
  show("a stream: 2 kB", "another");
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("a request\na stream: 2 kB\nanother");
  show("another");
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("a request\nanother");
  show();
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("a request");
});

test("a foot that changes a thousand times a second is drawn ten times a second", () => {
  const { clock, writes, show } = opened();
  for (let ms = 0; ms < 1000; ms++) {
    show(`at ${ms}`);
    clock.pass(1);
  }
  expect(writes.length).toBeLessThanOrEqual(11);
});

test("a clock that is set back holds nothing up", () => {
  const { clock, vt, screen } = opened();
  screen.print(["one"]);
  clock.setBack(3_600_000);
  screen.print(["two"]);
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("one\ntwo");
});

test("a foot that is the same is not drawn again", () => {
  const { clock, writes, show } = opened();
  for (let frame = 0; frame < 5; frame++) {
    show("the same");
    clock.pass(FRAME_MS);
  }
  expect(writes).toHaveLength(1);
});

test("what is said twice is said once, with how often; something else between makes two of it", () => {
  const { clock, vt, screen, show } = opened();
  show("foot");
  for (let time = 0; time < 12; time++) {
    screen.print([`at ${time}: refused`], "refused");
    clock.pass(time % 3 === 0 ? FRAME_MS : 1);
  }
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("at 11: refused (x12)\nfoot");
  screen.print(["else"]);
  screen.print(["refused"], "refused");
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("at 11: refused (x12)\nelse\nrefused\nfoot");
});

test("a line that wrapped is replaced whole", () => {
  const { clock, vt, screen } = opened(10, 10);
  screen.print(["before"]);
  screen.print(["a line of several rows"], "same");
  clock.pass(FRAME_MS);
  screen.print(["a line of several rows"], "same");
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("before\na line of \nseveral ro\nws (x2)".replace("of \n", "of\n"));
});

test("a line as wide as the terminal keeps its last character", () => {
  const { clock, vt, screen, show } = opened(10, 10);
  show("foot");
  screen.print(["0123456789"]);
  clock.pass(FRAME_MS);
  expect(vt.text).toBe("0123456789\nfoot");
});

test("the foot of a terminal that was made narrower is taken away whole, as far as it wrapped", () => {
  const { clock, vt, writes, screen, show } = opened(40, 10);
  screen.print(["above"]);
  show("x".repeat(39), "y".repeat(39));
  clock.pass(FRAME_MS);
  // The terminal wraps what it shows: as if it had been written so.
  const narrow = new Vt(20, 10);
  narrow.write(`above\n${"x".repeat(39)}\n${"y".repeat(39)}\n`);
  vt.columns = 20;
  const before = writes.length;
  screen.changed();
  clock.pass(FRAME_MS);
  for (const text of writes.slice(before)) narrow.write(text);
  expect(narrow.text).toBe(`above\n${"x".repeat(19)}\n${"y".repeat(19)}`);
});

test("a terminal that does not know its size is taken for one of 80 by 24", () => {
  const { screen } = opened(0, 0);
  expect([screen.columns, screen.rows]).toEqual([80, 24]);
});

test("clearing leaves the foot", () => {
  const { clock, vt, screen, show } = opened();
  screen.print(["gone"]);
  show("foot");
  clock.pass(FRAME_MS);
  screen.clear();
  expect(vt.text).toBe("foot");
});

test("at the end the foot is gone, the cursor is there, and later lines are written at once", () => {
  const { clock, vt, screen, show } = opened();
  show("foot");
  clock.pass(FRAME_MS);
  screen.print(["last"]);
  screen.close();
  expect(vt.text).toBe("last");
  screen.print(["after the end"]);
  expect(vt.text).toBe("last\nafter the end");
  expect(vt.cursor).toBe(true);
});

test("the cursor is hidden only while a frame is written", () => {
  const { clock, writes, screen, show } = opened();
  show("foot");
  screen.print(["line"]);
  clock.pass(FRAME_MS);
  for (const write of writes) {
    expect(write.startsWith("\u001b[?25l")).toBe(true);
    expect(write.endsWith("\u001b[?25h")).toBe(true);
  }
});

test("whatever comes when, every line is there in order, and the foot once, below", () => {
  const step = fc.oneof(
    fc.record({ print: fc.stringMatching(/^[a-z ]{1,60}$/) }),
    fc.record({ foot: fc.array(fc.stringMatching(/^F[a-z]{0,30}$/), { maxLength: 4 }) }),
    fc.record({ pass: fc.integer({ min: 1, max: 300 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { clock, vt, screen, show } = opened(30, 12);
      const printed: string[] = [];
      let foot: string[] = [];
      for (const each of steps) {
        if ("print" in each) {
          screen.print([each.print]);
          printed.push(each.print);
        } else if ("foot" in each) show(...(foot = each.foot));
        else clock.pass(each.pass);
      }
      clock.pass(FRAME_MS);
      const expected = new Vt(30, 12);
      for (const line of [...printed, ...foot.map((line) => line.slice(0, 29))]) {
        expected.write(`${line}\n`);
      }
      expect(vt.text).toBe(expected.text);
    }),
  );
});
