/* What a person on call should look at first, read off the graph: the bottleneck, what holds time back, skew, losses.

   Pure. Each finding is one sentence, worst first, and names the vertex to open. */
import type { Graph, Vertex } from "../service/types.ts";
import type { Tone } from "./colour.ts";
import { count, duration, share } from "./format.ts";

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
const RANK: Record<Tone, number> = { bad: 0, warn: 1, moving: 2, quiet: 3, good: 4 };

export function findings(graph: Graph): Finding[] {
  const names = new Map(graph.vertices.map((vertex) => [vertex.id, vertex]));
  const found = [
    ...graph.vertices.flatMap(notRunning),
    ...bottlenecks(graph, names),
    ...held(graph),
    ...graph.vertices.flatMap(skewed),
    ...graph.vertices.flatMap(lost),
  ];
  return found.sort((a, b) => RANK[a.tone] - RANK[b.tone]);
}

function notRunning(vertex: Vertex): Finding[] {
  const failed = vertex.states["Failed"] ?? 0;
  if (!failed) return [];
  const text = `${failed} of ${vertex.parallelism} subtasks of ${vertex.name} have failed.`;
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
    const who = pressed.map((source) => source.name).join(", ");
    const text = `${vertex.name} is ${share(vertex.busiest)} busy and holds up ${who} (${share(most)} back-pressured).`;
    found.push({ tone: most >= 0.5 ? "bad" : "warn", title: "Bottleneck", text, vertex: vertex.id });
  }
  return found.slice(0, 3);
}

/** The most upstream vertex that says so: what is behind it waits for the same input. */
function held(graph: Graph): Finding[] {
  const late = graph.vertices.filter((vertex) => {
    const by = vertex.heldBy;
    return by && (by.aheadSeconds ?? 0) >= AHEAD_SECONDS;
  });
  return late.slice(0, 2).map((vertex) => {
    const by = vertex.heldBy!;
    const ahead = duration(by.aheadSeconds);
    const text = `${vertex.name} waits for ${by.name}, subtask ${by.subtask}: its next input is ${ahead} ahead.`;
    const tone: Tone = (vertex.figures.lagSeconds ?? 0) >= LATE_SECONDS ? "warn" : "moving";
    return { tone, title: "Holds time back", text, vertex: by.vertex };
  });
}

function skewed(vertex: Vertex): Finding[] {
  if (vertex.parallelism < 3 || vertex.skew < SKEWED) return [];
  if (vertex.busiest < 0.3 && vertex.mostBackpressured < 0.1) return [];
  const who = vertex.skewedSubtask === null ? "One subtask" : `Subtask ${vertex.skewedSubtask}`;
  const text = `${who} of ${vertex.name} has ${vertex.skew.toFixed(1)} times the mean of all ${vertex.parallelism}.`;
  return [{ tone: "warn", title: "Skew", text, vertex: vertex.id }];
}

function lost(vertex: Vertex): Finding[] {
  const parts: string[] = [];
  if (vertex.figures.lateRows) parts.push(`${count(vertex.figures.lateRows)} rows came too late`);
  if (vertex.figures.badRows) parts.push(`${count(vertex.figures.badRows)} rows could not be read`);
  if (!parts.length) return [];
  return [{ tone: "warn", title: "Rows left out", text: `${vertex.name}: ${parts.join(", ")}.`, vertex: vertex.id }];
}
