import { describe, expect, test } from "vitest";
import { CARD, clamp, curve, drawing, fitted, inside, neighbour, revealed, shape, zoomed } from "../../src/graph/layout.ts";
import { edge, largeGraph, ordersGraph, vertex } from "../fake/graphs.ts";

const overlaps = (drawn: ReturnType<typeof drawing>): number =>
  drawn.nodes.filter((a) => drawn.nodes.some((b) => b.id !== a.id && Math.abs(a.x - b.x) < CARD.width && Math.abs(a.y - b.y) < CARD.height)).length;

describe("a drawing", () => {
  const drawn = drawing(ordersGraph());
  const at = new Map(drawn.nodes.map((node) => [node.id, node]));
  test("goes from left to right along every edge", () => {
    for (const line of drawn.lines) expect(at.get(line.source)!.x).toBeLessThan(at.get(line.target)!.x);
  });
  test("of a tall page goes from top to bottom, and so do the arrow keys", () => {
    const tall = drawing(ordersGraph(), true);
    const placed = new Map(tall.nodes.map((node) => [node.id, node]));
    for (const line of tall.lines) expect(placed.get(line.source)!.y).toBeLessThan(placed.get(line.target)!.y);
    expect([overlaps(tall), neighbour(tall, 1, "down"), neighbour(tall, 0, "down")]).toEqual([0, 2, 2]);
    expect([0, 1]).toContain(neighbour(tall, 2, "up"));
    expect([neighbour(tall, 3, "left"), neighbour(tall, 3, "right")].filter((id) => id !== null)).toEqual([4]);
  });
  test("lays no card over another", () => expect(overlaps(drawn)).toBe(0));
  test("has every card inside", () => {
    for (const node of drawn.nodes) {
      expect(node.x).toBeGreaterThanOrEqual(0);
      expect(node.y + CARD.height).toBeLessThanOrEqual(drawn.height);
    }
  });
  test("of two hundred vertices is packed, in order, and quickly there", () => {
    const large = drawing(largeGraph());
    expect([large.nodes.length, overlaps(large)]).toEqual([200, 0]);
    expect(large.height).toBeLessThan(40 * CARD.height);
    expect(large.lines.every((line) => line.path.startsWith("M"))).toBe(true);
  });
  test("of nothing is empty", () => expect(drawing({ ...ordersGraph(), vertices: [], edges: [] })).toMatchObject({ nodes: [], lines: [] }));
  test("leaves out edges to vertices that are not there", () =>
    expect(drawing({ ...ordersGraph(), vertices: [vertex(0, "a", 1)], edges: [edge(0, 0, 7)] }).lines).toEqual([]));
  test("has two edges between the same vertices as two lines", () =>
    expect(drawing({ ...ordersGraph(), vertices: [vertex(0, "a", 1), vertex(1, "b", 1)], edges: [edge(0, 0, 1), edge(1, 0, 1)] }).lines).toHaveLength(2));
  test("is made anew when something is added, not when figures change", () => {
    const graph = ordersGraph();
    const busier = { ...graph, vertices: graph.vertices.map((one) => ({ ...one, busiest: 1 })) };
    expect(shape(busier)).toBe(shape(graph));
    expect(shape({ ...graph, edges: graph.edges.slice(1) })).not.toBe(shape(graph));
  });
});

test("a curve begins and ends where its edge does", () => expect(curve([{ x: 0, y: 0 }, { x: 10, y: 4 }]).path).toBe("M0,0C5,0 5,4 10,4"));
test("a curve of nothing is nothing", () => expect(curve([]).path).toBe(""));

describe("a view", () => {
  const room = { width: 800, height: 600 };
  test("shows all, in the middle, never larger than life", () => {
    expect(fitted({ width: 400, height: 300 }, room)).toEqual({ x: 200, y: 150, zoom: 1 });
    expect(fitted({ width: 1600, height: 300 }, room)).toEqual({ x: 0, y: 225, zoom: 0.5 });
  });
  test("keeps the point under the pointer when it is zoomed", () => {
    const view = zoomed({ x: 30, y: 40, zoom: 0.5 }, 1.6, 100, 90);
    expect((100 - view.x) / view.zoom).toBeCloseTo((100 - 30) / 0.5);
    expect((90 - view.y) / view.zoom).toBeCloseTo((90 - 40) / 0.5);
  });
  test("has limits", () => expect([clamp(0), clamp(99)]).toEqual([0.04, 2]));
  test("moves a hidden card inside, and no other", () => {
    const hidden = { id: 1, x: 2000, y: -500 };
    const view = revealed({ x: 0, y: 0, zoom: 1 }, hidden, room);
    expect(inside(hidden, view, room)).toBe(true);
    expect(hidden.x + view.x + CARD.width).toBeLessThanOrEqual(room.width);
    expect(revealed(view, hidden, room)).toEqual(view);
  });
});

describe("arrow keys", () => {
  const drawn = drawing(ordersGraph());
  test("go along edges", () => {
    expect(neighbour(drawn, 1, "right")).toBe(2);
    expect(neighbour(drawn, 5, "left")).not.toBeNull();
    expect([3, 4]).toContain(neighbour(drawn, 2, "right"));
  });
  test("go up and down within a layer", () => expect([neighbour(drawn, 0, "up"), neighbour(drawn, 0, "down")].filter((id) => id !== null)).toEqual([1]));
  test("stay where there is nothing", () => expect([neighbour(drawn, 0, "left"), neighbour(drawn, 99, "left")]).toEqual([null, null]));
});
