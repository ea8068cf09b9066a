/* Skew, sorting and windows of long tables. Pure. */
import type { Figures } from "../service/types.ts";

export interface Column<T> {
  key: string;
  value: (row: T) => number | string | null;
}

export interface Order {
  key: string;
  down: boolean;
}

/** A sorted copy. Rows of which a figure is not known come last, whichever way it is sorted. */
export function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order): T[] {
  const column = columns.find((candidate) => candidate.key === order.key);
  if (!column) return [...rows];
  const keyed = rows.map((row, index) => ({ row, index, value: column.value(row) }));
  const direction = order.down ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null)
      return a.value === b.value ? a.index - b.index : a.value === null ? 1 : -1;
    if (a.value === b.value) return a.index - b.index;
    if (typeof a.value === "string" || typeof b.value === "string")
      return direction * String(a.value).localeCompare(String(b.value), "en", { numeric: true });
    return direction * (a.value - b.value);
  });
  return keyed.map((entry) => entry.row);
}

/** A click on a heading: another column begins with its largest, the same one turns round. */
export function turned(order: Order, key: string, text = false): Order {
  return order.key === key ? { key, down: !order.down } : { key, down: !text };
}

export interface Window {
  first: number;
  end: number;
  before: number;
  after: number;
}

/** Which of `total` rows to draw, and how many px of room to leave before and after. */
export function visible(total: number, rowPx: number, scrollTop: number, heightPx: number): Window {
  const spare = 8;
  const last = Math.max(0, total - 1);
  const first = Math.min(last, Math.max(0, Math.floor(scrollTop / rowPx) - spare));
  const end = Math.min(total, Math.ceil((scrollTop + heightPx) / rowPx) + spare);
  const shown = Math.max(first, end);
  return { first, end: shown, before: first * rowPx, after: (total - shown) * rowPx };
}

export interface Spread {
  least: number;
  mean: number;
  most: number;
  mostAt: number;
  /** Most over mean; 1 when nothing flows. */
  skew: number;
}

export function spread(values: readonly number[]): Spread {
  let sum = 0;
  let least = Infinity;
  let most = -Infinity;
  let mostAt = 0;
  values.forEach((value, index) => {
    sum += value;
    least = Math.min(least, value);
    if (value > most) [most, mostAt] = [value, index];
  });
  if (!values.length) return { least: 0, mean: 0, most: 0, mostAt: 0, skew: 1 };
  const mean = sum / values.length;
  return { least, mean, most, mostAt, skew: mean > 0 ? most / mean : 1 };
}

/** What flows through a subtask: what comes in, or at sources what goes out. */
export function flow(figures: Figures): number {
  return figures.rowsInPerSecond > 0 ? figures.rowsInPerSecond : figures.rowsOutPerSecond;
}

/** Heights of `bins` equal parts of a list, each the largest of its part: 1,000 subtasks in 100 px. */
export function binned(values: readonly number[], bins: number): number[] {
  if (values.length <= bins) return [...values];
  const out = new Array<number>(bins).fill(0);
  values.forEach((value, index) => {
    const bin = Math.min(bins - 1, Math.floor((index * bins) / values.length));
    out[bin] = Math.max(out[bin] ?? 0, value);
  });
  return out;
}
