/* Where vertices and edges are drawn: layers from left to right, or on a tall page from top to bottom, by dagre, and what a zoom shows of them. Pure. */
import { Graph as Dagre, layout as arrange } from "@dagrejs/dagre";
import type { Graph } from "../service/types.ts";

export const CARD = { width: 248, height: 132 };

/** From here on a drawing is packed. */
const MANY = 60;

export interface Point {
  x: number;
  y: number;
}

export interface Placed {
  id: number;
  /** Top left. */
  x: number;
  y: number;
}

export interface Line {
  id: number;
  source: number;
  target: number;
  path: string;
  label: Point;
}

export interface Drawing {
  width: number;
  height: number;
  nodes: Placed[];
  lines: Line[];
  /** From top to bottom. */
  tall: boolean;
}

/** Changes only when something is added or removed: figures move nothing. */
export function shape(graph: Graph): string {
  const vertices = graph.vertices.map((vertex) => vertex.id).join(",");
  return `${vertices}|${graph.edges.map((edge) => `${edge.id}:${edge.source}>${edge.target}`).join(",")}`;
}

export function drawing(graph: Graph, tall = false): Drawing {
  const dagre = new Dagre({ multigraph: true });
  const many = graph.vertices.length > MANY;
  dagre.setGraph({ rankdir: tall && !many ? "TB" : "LR", nodesep: many ? 18 : 32, ranksep: tall ? 72 : 104, marginx: 24, marginy: 24 });
  dagre.setDefaultEdgeLabel(() => ({}));
  const known = new Set(graph.vertices.map((vertex) => vertex.id));
  for (const vertex of graph.vertices) dagre.setNode(String(vertex.id), { ...CARD });
  const edges = graph.edges.filter((edge) => known.has(edge.source) && known.has(edge.target));
  for (const edge of edges)
    dagre.setEdge(String(edge.source), String(edge.target), {}, String(edge.id));
  if (graph.vertices.length) arrange(dagre);
  if (many) return packed(graph.vertices.map((vertex) => vertex.id), edges, dagre);
  const size = dagre.graph() as { width?: number; height?: number };
  const nodes = graph.vertices.map((vertex) => {
    const node = dagre.node(String(vertex.id)) as Point;
    return { id: vertex.id, x: node.x - CARD.width / 2, y: node.y - CARD.height / 2 };
  });
  const lines = edges.map((edge) => {
    const found = dagre.edge(String(edge.source), String(edge.target), String(edge.id)) as { points: Point[] };
    return { id: edge.id, source: edge.source, target: edge.target, ...curve(found.points, tall) };
  });
  return { width: finite(size.width), height: finite(size.height), nodes, lines, tall };
}

/** Many vertices: layers and order are dagre's, but each layer is packed, so that all of it can be seen at once. */
function packed(ids: number[], edges: Graph["edges"], dagre: { node: (id: string) => unknown }): Drawing {
  const layers = new Map<number, { id: number; y: number }[]>();
  for (const id of ids) {
    const { x, y } = dagre.node(String(id)) as Point;
    layers.set(Math.round(x), [...(layers.get(Math.round(x)) ?? []), { id, y }]);
  }
  const columns = [...layers].sort(([a], [b]) => a - b).map(([, column]) => column.sort((a, b) => a.y - b.y));
  const step = { x: CARD.width + 110, y: CARD.height + 18 };
  const height = Math.max(...columns.map((column) => column.length)) * step.y + 48;
  const at = new Map<number, Placed>();
  columns.forEach((column, layer) => {
    const top = (height - column.length * step.y) / 2;
    column.forEach(({ id }, index) => at.set(id, { id, x: 24 + layer * step.x, y: top + index * step.y }));
  });
  const lines = edges.map((edge) => {
    const from = at.get(edge.source)!;
    const to = at.get(edge.target)!;
    const points = [{ x: from.x + CARD.width, y: from.y + CARD.height / 2 }, { x: to.x, y: to.y + CARD.height / 2 }];
    return { id: edge.id, source: edge.source, target: edge.target, ...curve(points) };
  });
  return { width: 48 + columns.length * step.x - 110, height, nodes: ids.map((id) => at.get(id)!), lines, tall: false };
}

function finite(value: number | undefined): number {
  return value !== undefined && Number.isFinite(value) ? value : 0;
}

/** A curve that leaves and arrives level, or upright when it is `tall`, through the points between. */
export function curve(points: Point[], tall = false): { path: string; label: Point } {
  const [first] = points;
  if (!first) return { path: "", label: { x: 0, y: 0 } };
  let path = `M${round(first.x)},${round(first.y)}`;
  for (let index = 1; index < points.length; index += 1) {
    const from = points[index - 1]!;
    const to = points[index]!;
    const x = tall ? 0 : (to.x - from.x) / 2;
    const y = tall ? (to.y - from.y) / 2 : 0;
    path += `C${round(from.x + x)},${round(from.y + y)} ${round(to.x - x)},${round(to.y - y)} ${round(to.x)},${round(to.y)}`;
  }
  const middle = points[Math.floor((points.length - 1) / 2)]!;
  const next = points[Math.min(points.length - 1, Math.floor((points.length - 1) / 2) + 1)]!;
  const label = points.length % 2 ? middle : { x: (middle.x + next.x) / 2, y: (middle.y + next.y) / 2 };
  return { path, label };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export interface View {
  x: number;
  y: number;
  zoom: number;
}

const LEAST = 0.04;
const MOST = 2;

export function clamp(zoom: number): number {
  return Math.min(MOST, Math.max(LEAST, zoom));
}

/** All of it in the middle, never larger than life. */
export function fitted(size: { width: number; height: number }, room: { width: number; height: number }): View {
  if (!size.width || !size.height || !room.width || !room.height) return { x: 0, y: 0, zoom: 1 };
  const zoom = clamp(Math.min(1, room.width / size.width, room.height / size.height));
  return { x: (room.width - size.width * zoom) / 2, y: (room.height - size.height * zoom) / 2, zoom };
}

/** Zoomed by `factor`; the point under (x, y) of the room stays there. */
export function zoomed(view: View, factor: number, x: number, y: number): View {
  const zoom = clamp(view.zoom * factor);
  const real = zoom / view.zoom;
  return { x: x - (x - view.x) * real, y: y - (y - view.y) * real, zoom };
}

/** Moved no further than it takes for a card to be inside. */
export function revealed(view: View, node: Placed, room: { width: number; height: number }): View {
  const margin = 24;
  const left = node.x * view.zoom + view.x;
  const top = node.y * view.zoom + view.y;
  const right = left + CARD.width * view.zoom;
  const bottom = top + CARD.height * view.zoom;
  let { x, y } = view;
  if (right > room.width - margin) x -= right - (room.width - margin);
  if (left + (x - view.x) < margin) x = view.x + margin - left;
  if (bottom > room.height - margin) y -= bottom - (room.height - margin);
  if (top + (y - view.y) < margin) y = view.y + margin - top;
  return { x, y, zoom: view.zoom };
}

export type Direction = "left" | "right" | "up" | "down";

/** The card that an arrow key leads to: along an edge first, else the nearest in that direction. */
export function neighbour(drawn: Drawing, from: number, direction: Direction): number | null {
  const here = drawn.nodes.find((node) => node.id === from);
  if (!here) return null;
  const [on, back]: [Direction, Direction] = drawn.tall ? ["down", "up"] : ["right", "left"];
  const along = drawn.lines
    .filter((line) => (direction === on ? line.source === from : direction === back && line.target === from))
    .map((line) => (direction === on ? line.target : line.source));
  const candidates = drawn.nodes.filter((node) => {
    if (node.id === from) return false;
    if (along.length) return along.includes(node.id);
    const [forth, aside] = drawn.tall ? [node.y - here.y, node.x - here.x] : [node.x - here.x, node.y - here.y];
    if (direction === back) return forth < -1;
    if (direction === on) return forth > 1;
    if (Math.abs(forth) > (drawn.tall ? CARD.height : CARD.width)) return false;
    return direction === "up" || direction === "left" ? aside < 0 : aside > 0;
  });
  let best: Placed | null = null;
  let least = Infinity;
  for (const node of candidates) {
    const distance = Math.hypot(node.x - here.x, node.y - here.y);
    if (distance < least) [best, least] = [node, distance];
  }
  return best?.id ?? null;
}

/** Whether a box is worth drawing at all. */
export function inside(node: Placed, view: View, room: { width: number; height: number }): boolean {
  const left = node.x * view.zoom + view.x;
  const top = node.y * view.zoom + view.y;
  return (
    left < room.width + 80 && top < room.height + 80 &&
    left + CARD.width * view.zoom > -80 && top + CARD.height * view.zoom > -80
  );
}
