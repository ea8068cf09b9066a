import { describe, expect, test } from "vitest";
import { age, brief, bytes, clock, count, duration, eventTime, headline, milliseconds, plural, rate, roughly, setting, share } from "../../src/figures/format.ts";

describe("figures have three digits and a unit", () => {
  test.each([
    [0, "0"], [0.04, "0"], [7.25, "7.3"], [999, "999"], [999.7, "1.00 k"], [1000, "1.00 k"], [12_345, "12.3 k"], [182_400, "182 k"], [999_600, "1.00 M"],
    [984_960_000, "985 M"], [1.2e21, "1200000 P"], [-1500, "-1.50 k"],
  ])("%d rows are %s", (value, text) => expect(count(value)).toBe(text));
  test.each([[0, "0 B"], [999, "999 B"], [1000, "1.00 kB"], [1_204_000, "1.20 MB"], [1.62e9, "1.62 GB"]])("%d bytes are %s", (value, text) =>
    expect(bytes(value)).toBe(text));
  test("a rate says of what", () => expect(rate(30_200)).toBe("30.2 k rows/s"));
});

describe("what is not known is a dash, never a zero", () => {
  test.each([[count], [bytes], [share], [duration], [milliseconds], [rate]])("%o", (format) => {
    for (const nothing of [null, undefined, NaN, Infinity]) expect(format(nothing)).toBe("–");
  });
});

describe("errors in one line", () => {
  const raised = "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    raise KeyError(k)\nKeyError: 'x'\nin operator: enrich (subtask 1)\nrow: Row(k='x')";
  test.each([
    [raised, "KeyError: 'x', in enrich (subtask 1)"], ["Traceback (most recent call last):\nKeyError: 'x'", "KeyError: 'x'"],
    ["the bucket is full\nmore", "the bucket is full"], ["", ""], ["Traceback (most recent call last):", "Traceback (most recent call last):"],
  ])("%j", (text, line) => expect(headline(text)).toBe(line));
});

describe("vertices in sentences", () => {
  test.each([["parse", "parse"], ["read → parse → prune", "read → …"], ["a".repeat(50), `${"a".repeat(33)}…`], [`${"a".repeat(50)} → b`, `${"a".repeat(33)}…`]])("%s", (name, short) => expect(brief(name)).toBe(short));
});

describe("an axis of time has one unit", () => {
  test.each([[0, "0"], [0.25, "250 ms"], [90, "90 s"], [720, "12 min"], [5400, "90 min"], [10_800, "3 h"], [216_000, "2.5 d"], [null, "–"]])("%s s are %s", (value, text) => expect(roughly(value)).toBe(text));
});

describe("shares", () => {
  test.each([[0, "0 %"], [0.001, "<1 %"], [0.5, "50 %"], [0.994, "99 %"], [0.999, ">99 %"], [1, "100 %"]])("%d is %s", (value, text) =>
    expect(share(value)).toBe(text));
});

describe("durations have two units at most", () => {
  test.each([
    [0, "0 ms"], [0.084, "84 ms"], [0.99999, "1.0 s"], [1.24, "1.2 s"], [9.97, "10 s"], [59.4, "59 s"], [59.7, "1 min 00 s"], [125, "2 min 05 s"], [3599.6, "1 h 00 min"],
    [11_520, "3 h 12 min"], [86_400 * 4 + 6 * 3600, "4 d 6 h"], [-3, "−3.0 s"],
  ])("%d s are %s", (value, text) => expect(duration(value)).toBe(text));
  test.each([[0.2, "<1 ms"], [84.4, "84 ms"], [1240, "1.2 s"]])("%d ms are %s", (value, text) => expect(milliseconds(value)).toBe(text));
});

describe("times", () => {
  const now = Date.parse("2026-03-01T12:00:00Z");
  test("an age is never in the future", () => expect(age("2026-03-01T12:00:09Z", now)).toBe("just now"));
  test("an age counts whole seconds", () => expect(age("2026-03-01T11:59:48.100Z", now)).toBe("11 s ago"));
  test.each([[null], [undefined], [""], ["nonsense"]])("%s was never", (at) => expect(age(at, now)).toBe("never"));
  test("another day is named", () => expect(clock("2026-02-27T10:00:00Z", now)).toMatch(/^2026-02-27 /));
  test("event time is UTC, and without milliseconds when there are none", () => expect(eventTime(now)).toBe("2026-03-01 12:00:00"));
  test("a watermark beyond all times is the end", () => expect(eventTime(Number.MAX_SAFE_INTEGER)).toBe("at its end"));
  test("there may be no watermark yet", () => expect(eventTime(null)).toBe("none yet"));
});

test("one is not many", () => expect([plural(1, "row"), plural(2, "row"), plural(1200, "row")]).toEqual(["1 row", "2 rows", "1.20 k rows"]));
test("settings that are not set say so", () => expect([setting(null), setting(false), setting("10s")]).toEqual(["not set", "false", "10s"]));
