import { describe, expect, test } from "vitest";
import { heat, pressure, SIGNS, tone, urgency } from "../../src/figures/colour.ts";
import { findings, holders } from "../../src/figures/findings.ts";
import { binned, sorted, spread, turned, visible } from "../../src/figures/statistics.ts";
import { edge, figures, ordersGraph, vertex } from "../fake/graphs.ts";

describe("colours", () => {
  test("heat goes from cool over the middle to hot", () => {
    expect(heat(0)).toContain("var(--heat-middle) 0%, var(--heat-cool)");
    expect(heat(0.5)).toContain("var(--heat-middle) 100%, var(--heat-cool)");
    expect(heat(1)).toContain("var(--heat-hot) 100%, var(--heat-middle)");
  });
  test.each([[-1, 0], [7, 1], [NaN, 0]])("a share of %d is drawn as %d", (value, same) => expect(heat(value)).toBe(heat(same)));
  test("every tone has a shape of its own", () => expect(new Set(Object.values(SIGNS)).size).toBe(Object.keys(SIGNS).length));
  test("a state that this page does not know is quiet", () => expect(tone("Dreaming" as never)).toBe("quiet"));
  test.each([[null, "quiet"], [5, "good"], [60, "warn"], [600, "bad"]])("an age of %s s is %s", (seconds, said) => expect(urgency(seconds, 60, 600)).toBe(said));
  test.each([
    [false, 1, 1, "stopped"], [true, 0.02, 0, "idle"], [true, 0.5, 0, "working"], [true, 0.95, 0.1, "busy"], [true, 0.2, 0.7, "back-pressured"], [true, 0.05, 0.2, "back-pressured"],
  ] as const)("running %s, busy %d, back-pressured %d is %s", (running, busy, most, word) => expect(pressure(running, busy, most)).toBe(word));
});

describe("what to look at first", () => {
  const graph = ordersGraph();
  test("the bottleneck, then what holds time back, skew, and rows that were left out", () =>
    expect(findings(graph).map((one) => one.title)).toEqual(["Bottleneck", "Holds time back", "Skew", "Rows left out"]));
  test("the bottleneck names who is held up, and by how much", () =>
    expect(findings(graph)[0]?.text).toBe("enrich with rates is 99 % busy and holds up read orders from topic (79 % back-pressured)."));
  test("what holds time back leads to the input, not to the one that waits", () => expect(findings(graph)[1]?.vertex).toBe(1));
  test("how far behind it is stands beside its name", () =>
    expect(findings(graph)[1]?.text).toBe("read exchange rates, subtask 1, is 1 min 12 s behind the next input of enrich with rates."));
  test("an input that has never sent a watermark is told, for then nothing fires", () => {
    const quiet = graph.vertices.map((one) => (one.id === 2 ? { ...one, heldBy: { ...one.heldBy!, watermarkMs: null, aheadSeconds: null } } : one));
    expect(findings({ ...graph, vertices: quiet })[1]?.text).toBe("read exchange rates, subtask 1, has not sent any watermark: enrich with rates fires nothing.");
  });
  test("those behind a vertex that waits wait for the same input", () => {
    const found = holders(graph);
    expect([...found].map(([id, one]) => [id, one.name, one.here])).toEqual([[2, "read exchange rates", true], [3, "read exchange rates", false]]);
  });
  test("an input that is hardly behind the others holds nobody back", () => {
    const near = graph.vertices.map((one) => (one.heldBy ? { ...one, heldBy: { ...one.heldBy, aheadSeconds: 0.02 } } : one));
    expect(holders({ ...graph, vertices: near }).size).toBe(0);
  });
  test("a job that has failed as a whole needs no finding per vertex", () =>
    expect(findings({ ...graph, edges: [], vertices: [vertex(0, "a", 2, { states: { Failed: 2 } }), vertex(1, "b", 1, { states: { Failed: 1 } })] })).toEqual([]));
  test("who is back-pressured itself is no bottleneck", () => {
    const chain = {
      ...graph, edges: [edge(0, 0, 1), edge(1, 1, 2)],
      vertices: [
        vertex(0, "a", 1, { mostBackpressured: 0.9 }), vertex(1, "b", 1, { mostBackpressured: 0.8, busiest: 0.2 }), vertex(2, "c", 1, { busiest: 0.99 }),
      ],
    };
    expect(findings(chain).map((one) => one.vertex)).toEqual([2]);
  });
  test("skew where nothing is to do is not told", () =>
    expect(findings({ ...graph, edges: [], vertices: [vertex(0, "a", 4, { skew: 3, busiest: 0.1, figures: figures({ busy: 0.05 }) })] })).toEqual([]));
  test("failed subtasks come before anything else", () =>
    expect(findings({ ...graph, vertices: [...graph.vertices, vertex(9, "z", 2, { states: { Failed: 1, Running: 1 } })] })[0]?.text).toBe("1 of 2 subtasks of z have failed."));
  test("a job without trouble has none", () => expect(findings({ ...graph, vertices: [vertex(0, "a", 1)], edges: [] })).toEqual([]));
});

describe("tables", () => {
  const columns = [{ key: "v", value: (row: { v: number | string | null }) => row.v }];
  const rows = [{ v: 2 }, { v: null }, { v: 10 }, { v: 1 }];
  test("what is not known comes last, whichever way it is sorted", () => {
    expect(sorted(rows, columns, { key: "v", down: true }).map((row) => row.v)).toEqual([10, 2, 1, null]);
    expect(sorted(rows, columns, { key: "v", down: false }).map((row) => row.v)).toEqual([1, 2, 10, null]);
  });
  test("names with numbers are sorted as people count", () =>
    expect(sorted([{ v: "a10" }, { v: "a9" }], columns, { key: "v", down: false }).map((row) => row.v)).toEqual(["a9", "a10"]));
  test("equal rows keep their places", () => expect(sorted([{ v: 1, n: "x" }, { v: 1, n: "y" }], columns, { key: "v", down: true })).toEqual([{ v: 1, n: "x" }, { v: 1, n: "y" }]));
  test("an unknown column sorts nothing", () => expect(sorted(rows, columns, { key: "?", down: true })).toEqual(rows));
  test("another column begins with its largest, names with their first", () => {
    expect(turned({ key: "a", down: false }, "b")).toEqual({ key: "b", down: true });
    expect(turned({ key: "a", down: false }, "b", true)).toEqual({ key: "b", down: false });
    expect(turned({ key: "a", down: true }, "a")).toEqual({ key: "a", down: false });
  });
  test.each([[0, 300], [1500, 300], [99_999, 300], [0, 0]])("scrolled by %d px, the rows in sight and a few more are drawn, and the table keeps its height", (top, height) => {
    const seen = visible(128, 30, top, height);
    expect(seen.end - seen.first).toBeLessThanOrEqual(Math.ceil(height / 30) + 17);
    expect(seen.before + (seen.end - seen.first) * 30 + seen.after).toBe(128 * 30);
  });
  test("an empty table draws nothing", () => expect(visible(0, 30, 0, 300)).toEqual({ first: 0, end: 0, before: 0, after: 0 }));
});

describe("skew", () => {
  test("is the most over the mean", () => expect(spread([1, 1, 1, 5])).toEqual({ least: 1, mean: 2, most: 5, mostAt: 3, skew: 2.5 }));
  test.each([[[]], [[0, 0]]])("of %j is none", (values) => expect(spread(values).skew).toBe(1));
  test("the largest of many subtasks is not lost in a narrow picture", () => {
    const values = Array.from({ length: 1000 }, (_, index) => (index === 777 ? 9 : 1));
    const bars = binned(values, 100);
    expect([bars.length, Math.max(...bars), bars[77]]).toEqual([100, 9, 9]);
  });
});
