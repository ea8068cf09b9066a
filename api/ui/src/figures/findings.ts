/* What a person on call should look at first, read off the graph: the bottleneck, what holds time back, skew, losses.

   Pure. Each finding is one sentence, worst first, and names the vertex to open. */
import type { Graph, Vertex } from "../service/types.ts";
import type { Tone } from "./colour.ts";
import { brief, count, duration, share } from "./format.ts";

export interface Finding {
  tone: Tone;
  title: string;
  text: string;
  vertex: number | null;
}

/** Below this a job is not called late. */
const LATE_SECONDS = 60;
const SKEWED = 2;
const AHEAD_SECONDS = 5;
/** Below this one input is always a little behind another. */
const WAITS_SECONDS = 1;
const RANK: Record<Tone, number> = { bad: 0, warn: 1, moving: 2, quiet: 3, good: 4 };

export function findings(graph: Graph): Finding[] {
  const names = new Map(graph.vertices.map((vertex) => [vertex.id, vertex]));
  const over = graph.vertices.every((vertex) => !vertex.states["Running"]);
  const found = [
    // A job that has failed as a whole says so itself.
    ...(over ? [] : graph.vertices.flatMap(notRunning)),
    ...bottlenecks(graph, names),
    ...held(graph),
    ...graph.vertices.flatMap(skewed),
    ...graph.vertices.flatMap(lost),
  ];
  // A clipped name at the end brings its own dots.
  for (const one of found) one.text = one.text.replace("….", "…");
  return found.sort((a, b) => RANK[a.tone] - RANK[b.tone]);
}

function notRunning(vertex: Vertex): Finding[] {
  const failed = vertex.states["Failed"] ?? 0;
  if (!failed) return [];
  const text = `${failed} of ${vertex.parallelism} subtasks of ${brief(vertex.name)} have failed.`;
  return [{ tone: "bad", title: "Failed", text, vertex: vertex.id }];
}

/** A bottleneck is busy itself while what sends to it is back-pressured: not merely somewhere on the way. */
function bottlenecks(graph: Graph, names: Map<number, Vertex>): Finding[] {
  const found: Finding[] = [];
  for (const vertex of graph.vertices) {
    const sources = new Set(graph.edges.filter((edge) => edge.target === vertex.id).map((edge) => edge.source));
    const pressed = [...sources]
      .map((id) => names.get(id))
      .filter((source) => source !== undefined && source.mostBackpressured >= 0.2) as Vertex[];
    if (!pressed.length || vertex.mostBackpressured > 0.5 || vertex.busiest < 0.5) continue;
    const most = Math.max(...pressed.map((source) => source.mostBackpressured));
    const who = pressed.map((source) => brief(source.name)).join(", ");
    const text = `${brief(vertex.name)} is ${share(vertex.busiest)} busy and holds up ${who} (${share(most)} back-pressured).`;
    found.push({ tone: most >= 0.5 ? "bad" : "warn", title: "Bottleneck", text, vertex: vertex.id });
  }
  return found.slice(0, 3);
}

/** The most upstream vertex that says so: what is behind it waits for the same input. */
function held(graph: Graph): Finding[] {
  const inputs = counted(graph);
  const late = graph.vertices.filter((vertex) => {
    const { heldBy: by } = vertex;
    return by && ((by.aheadSeconds ?? 0) >= AHEAD_SECONDS || silent(vertex, inputs));
  });
  return late.slice(0, 2).map((vertex): Finding => {
    const by = vertex.heldBy!;
    if (silent(vertex, inputs)) {
      const text = `${brief(by.name)}, subtask ${by.subtask}, has not sent any watermark: ${brief(vertex.name)} fires nothing.`;
      return { tone: "warn", title: "Holds time back", text, vertex: by.vertex };
    }
    const ahead = duration(by.aheadSeconds);
    const text = `${brief(by.name)}, subtask ${by.subtask}, is ${ahead} behind the next input of ${brief(vertex.name)}.`;
    const tone: Tone = (vertex.figures.lagSeconds ?? 0) >= LATE_SECONDS ? "warn" : "moving";
    return { tone, title: "Holds time back", text, vertex: by.vertex };
  });
}

function skewed(vertex: Vertex): Finding[] {
  if (vertex.parallelism < 3 || vertex.skew < SKEWED) return [];
  if (vertex.busiest < 0.3 && vertex.mostBackpressured < 0.1) return [];
  const who = vertex.skewedSubtask === null ? "one subtask" : `subtask ${vertex.skewedSubtask}`;
  const text = `${brief(vertex.name)}: ${who} has ${vertex.skew.toFixed(1)} times the mean of all ${vertex.parallelism}.`;
  return [{ tone: "warn", title: "Skew", text, vertex: vertex.id }];
}

function lost(vertex: Vertex): Finding[] {
  const parts: string[] = [];
  if (vertex.figures.lateRows) parts.push(`${count(vertex.figures.lateRows)} rows came too late`);
  if (vertex.figures.badRows) parts.push(`${count(vertex.figures.badRows)} rows could not be read`);
  if (!parts.length) return [];
  return [{ tone: "warn", title: "Rows left out", text: `${brief(vertex.name)}: ${parts.join(", ")}.`, vertex: vertex.id }];
}

export interface Holder {
  vertex: number;
  name: string;
  subtask: number;
  /** The vertex itself waits for it; else one further up does, and this one with it. */
  here: boolean;
}

/** By vertex: the input that its event time waits for in the end, however far up. Only where there is one to wait for. */
export function holders(graph: Graph): Map<number, Holder> {
  const inputs = counted(graph);
  const known = new Map(graph.vertices.map((vertex) => [vertex.id, vertex]));
  const found = new Map<number, Holder>();
  for (const vertex of graph.vertices) {
    if (!vertex.states["Running"]) continue;
    let at: Vertex | undefined = vertex;
    for (let step = 0; at?.heldBy && step < graph.vertices.length; step += 1) {
      const { aheadSeconds, vertex: id, name, subtask }: NonNullable<Vertex["heldBy"]> = at.heldBy;
      if ((aheadSeconds ?? 0) >= (at === vertex ? WAITS_SECONDS : AHEAD_SECONDS) || silent(at, inputs)) {
        found.set(vertex.id, { vertex: id, name, subtask, here: at === vertex });
        break;
      }
      at = known.get(id);
    }
  }
  return found;
}

/** How many inputs each vertex has. */
function counted(graph: Graph): Map<number, number> {
  const inputs = new Map<number, number>();
  for (const edge of graph.edges) inputs.set(edge.target, (inputs.get(edge.target) ?? 0) + 1);
  return inputs;
}

/** One of several inputs has never sent a watermark. */
function silent(vertex: Vertex, inputs: Map<number, number>): boolean {
  return vertex.heldBy?.watermarkMs === null && (inputs.get(vertex.id) ?? 0) > 1 && (vertex.states["Running"] ?? 0) > 0;
}
