/* Graphs to look at: six vertices of which one holds the others up, and one of two hundred with 128 subtasks each. */
import type { Edge, Figures, Graph, Task, Tasks, Vertex } from "../../src/service/types.ts";

export const NOW = Date.parse("2026-03-01T12:00:00Z");

/** The same numbers for the same seed: screenshots do not change by themselves. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function figures(over: Partial<Figures> = {}): Figures {
  return {
    rowsIn: 0, rowsOut: 0, bytesIn: 0, bytesOut: 0, rowsInPerSecond: 0, rowsOutPerSecond: 0, bytesInPerSecond: 0,
    bytesOutPerSecond: 0, busy: 0, idle: 1, backpressured: 0, watermarkMs: null, lagSeconds: null, lateRows: 0,
    badRows: 0, queuedBytes: 0, bufferedBytes: 0, stateBytes: null, ...over,
  };
}

export function vertex(id: number, name: string, parallelism: number, over: Partial<Vertex> = {}): Vertex {
  const all = over.figures ?? figures();
  return {
    id, name, parallelism,
    operators: [{ name, uid: null, kind: "map", rowsIn: all.rowsIn, rowsOut: all.rowsOut, lateRows: all.lateRows, badRows: all.badRows }],
    isSource: false, isSink: false, states: { Running: parallelism }, figures: all, busiest: all.busy,
    mostBackpressured: all.backpressured, skew: 1, skewedSubtask: null, heldBy: null, sourceLag: null, latency: null, subtasks: [],
    ...over,
  };
}

export function edge(id: number, source: number, target: number, exchange = "hash", keys: string[] = []): Edge {
  return { id, source, target, port: 0, exchange, keys, holdsTimeBack: false };
}

const flows = (rowsIn: number, rowsOut: number, busy: number, backpressured: number, lag: number | null, state: number | null = null): Figures =>
  figures({
    rowsIn: Math.round(rowsIn * 5400), rowsOut: Math.round(rowsOut * 5400), rowsInPerSecond: rowsIn, rowsOutPerSecond: rowsOut,
    bytesInPerSecond: rowsIn * 88, bytesOutPerSecond: rowsOut * 88, busy, backpressured, idle: Math.max(0, 1 - busy - backpressured),
    lagSeconds: lag, watermarkMs: lag === null ? null : NOW - lag * 1000, stateBytes: state, queuedBytes: Math.round(busy * 4e6),
  });

export function ordersGraph(): Graph {
  const enrich = flows(182_400, 181_900, 0.97, 0, 74, 412_000_000);
  return {
    name: "orders", at: new Date(NOW).toISOString(), parallelism: 8, maxParallelism: 128,
    vertices: [
      vertex(0, "read orders from topic", 8, {
        isSource: true, figures: flows(0, 182_400, 0.21, 0.74, 2.1), busiest: 0.24, mostBackpressured: 0.79,
        sourceLag: { rows: 1_284_000, bytes: null, splitsWaiting: 0, splitsUnderWay: 24, splitsRead: 0 },
        operators: [
          { name: "read orders", uid: "orders-source", kind: "source", rowsIn: 0, rowsOut: 984_960_000, lateRows: 0, badRows: 31 },
          { name: "parse", uid: null, kind: "map", rowsIn: 984_960_000, rowsOut: 984_959_969, lateRows: 0, badRows: 0 },
        ],
      }),
      vertex(1, "read exchange rates", 2, { isSource: true, figures: flows(0, 40, 0.01, 0, 74), busiest: 0.01 }),
      vertex(2, "enrich with rates", 8, {
        figures: enrich, busiest: 0.99, skew: 2.6, skewedSubtask: 5,
        heldBy: { edge: 1, vertex: 1, name: "read exchange rates", subtask: 1, watermarkMs: NOW - 74_000, aheadSeconds: 71.9 },
        latency: { p50Ms: 41, p95Ms: 180, p99Ms: 322, maxMs: 910, samples: 512 },
        operators: [
          { name: "join rates", uid: "rates-join", kind: "join", rowsIn: 984_959_969, rowsOut: 984_900_000, lateRows: 0, badRows: 0 },
          { name: "to euros", uid: null, kind: "map", rowsIn: 984_900_000, rowsOut: 984_900_000, lateRows: 0, badRows: 0 },
        ],
      }),
      vertex(3, "revenue per shop, 5 min windows", 8, {
        figures: { ...flows(181_900, 1_240, 0.46, 0, 74, 1_204_000_000), lateRows: 214 }, busiest: 0.52,
        heldBy: { edge: 2, vertex: 2, name: "enrich with rates", subtask: 5, watermarkMs: NOW - 74_000, aheadSeconds: null },
        latency: { p50Ms: 44, p95Ms: 190, p99Ms: 340, maxMs: 955, samples: 512 },
      }),
      vertex(4, "large orders", 8, { figures: flows(181_900, 96, 0.12, 0, 74), busiest: 0.14 }),
      vertex(5, "write to warehouse", 4, { isSink: true, figures: flows(1_336, 1_336, 0.06, 0, 74, 120_000), busiest: 0.08 }),
    ],
    edges: [
      edge(0, 0, 2, "hash", ["currency"]), { ...edge(1, 1, 2, "hash", ["currency"]), holdsTimeBack: true },
      edge(2, 2, 3, "hash", ["shop"]), edge(3, 2, 4, "forward"), edge(4, 3, 5, "rebalance"), edge(5, 4, 5, "rebalance"),
    ],
  };
}

export function largeGraph(): Graph {
  const next = numbers(7);
  const vertices: Vertex[] = [];
  const edges: Edge[] = [];
  for (let id = 0; id < 200; id += 1) {
    const layer = Math.floor(id / 20);
    const busy = Math.min(0.99, next() * (id === 87 ? 1 : 0.7) + (id === 87 ? 0.6 : 0));
    const pressed = layer < 4 && id % 20 === 7 ? 0.8 : next() < 0.06 ? next() * 0.5 : 0;
    const share = Math.min(busy, 1 - pressed);
    vertices.push(
      vertex(id, `${layer === 0 ? "read" : layer === 9 ? "write" : "step"} ${layer}.${id % 20}`, 128, {
        isSource: layer === 0, isSink: layer === 9, figures: flows(layer ? next() * 90_000 : 0, next() * 90_000, share, pressed, 1 + next() * 9, next() * 1e8),
        busiest: Math.min(1, share * 1.1), mostBackpressured: pressed, skew: 1 + next() * 0.8,
      }),
    );
    if (!layer) continue;
    edges.push(edge(edges.length, id - 20, id, "forward"));
    if (next() < 0.25) edges.push(edge(edges.length, (layer - 1) * 20 + Math.floor(next() * 20), id, "hash", ["key"]));
  }
  return { name: "large", at: new Date(NOW).toISOString(), parallelism: 128, maxParallelism: 1024, vertices, edges };
}

/** Every figure other than it was, as in a job that lives: what a page has to draw anew each time. */
export function moved(graph: Graph, round: number): Graph {
  const next = numbers(round + 1);
  const shaken = (value: number): number => value * (0.9 + next() * 0.2);
  return {
    ...graph,
    vertices: graph.vertices.map((one) => {
      const busy = Math.min(1 - one.figures.backpressured, shaken(one.figures.busy));
      const lag = one.figures.lagSeconds;
      const now = {
        ...one.figures, busy, idle: 1 - busy - one.figures.backpressured, rowsInPerSecond: shaken(one.figures.rowsInPerSecond),
        rowsOutPerSecond: shaken(one.figures.rowsOutPerSecond), lagSeconds: lag === null ? null : shaken(lag), rowsIn: one.figures.rowsIn + round,
      };
      return { ...one, figures: now, busiest: Math.min(1, busy * 1.1) };
    }),
  };
}

/** Subtasks that add up to about what their vertex says, with its skew. */
export function tasksOf(graph: Graph, only: number | null): Tasks {
  const tasks: Task[] = [];
  for (const one of graph.vertices) {
    if (only !== null && one.id !== only) continue;
    const next = numbers(one.id + 11);
    for (let subtask = 0; subtask < one.parallelism; subtask += 1) {
      const weight = one.skewedSubtask === subtask ? one.skew : 0.75 + next() * 0.3;
      const part = (value: number): number => (value / one.parallelism) * weight;
      const busy = Math.min(0.99, one.figures.busy * (one.skewedSubtask === subtask ? 1.02 : 0.8 + next() * 0.25));
      tasks.push({
        vertex: one.id, name: one.name, subtask, parallelism: one.parallelism, state: "Running", attempt: 3, slot: subtask % 4,
        taskManager: `orders-taskmanager-${Math.floor(subtask / 4)}`, host: `10.0.3.${20 + Math.floor(subtask / 4)}`, pid: 40 + (subtask % 4),
        figures: {
          ...one.figures, busy, idle: Math.max(0, 1 - busy - one.figures.backpressured), rowsInPerSecond: part(one.figures.rowsInPerSecond),
          rowsOutPerSecond: part(one.figures.rowsOutPerSecond), rowsIn: part(one.figures.rowsIn), rowsOut: part(one.figures.rowsOut),
          stateBytes: one.figures.stateBytes === null ? null : Math.round(part(one.figures.stateBytes)),
          lagSeconds: one.figures.lagSeconds === null ? null : one.figures.lagSeconds * (0.9 + next() * 0.1),
        },
      });
    }
  }
  return { at: graph.at, tasks, taskManagers: [{ name: "orders-taskmanager-0", host: "10.0.3.20", pid: 7, slots: 4, slotsUsed: 4 }] };
}
