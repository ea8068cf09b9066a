/* Which charts there are and what each is made of. Pure. */
import { bytes, count, duration, roughly, share } from "../figures/format.ts";
import type { Metrics, Series } from "../service/types.ts";

export interface ChartFacts {
  title: string;
  names: string[];
  labels: string[];
  format: (value: number | null) => string;
  /** On the axis, where there is little room. */
  axis?: (value: number | null) => string;
  /** Steps between the axis' values, where powers of ten are not what people count in. */
  steps?: readonly number[];
  /** Shares have a fixed axis. */
  most?: number;
}

const OF_TIME = [0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000, 8_640_000];
const time = { format: (value: number | null) => duration(value), axis: roughly, steps: OF_TIME };

export const CHARTS: ChartFacts[] = [
  { title: "Rows per second", names: ["rowsIn", "rowsOut"], labels: ["in", "out"], format: (value) => count(value) },
  { title: "Bytes/s between processes", names: ["bytesIn", "bytesOut"], labels: ["in", "out"], format: (value) => bytes(value) },
  { title: "Time of tasks", names: ["busy", "backpressured", "idle"], labels: ["busy", "back-pressured", "idle"], format: (value) => share(value), most: 1 },
  { title: "Busiest subtask", names: ["busiest"], labels: ["busiest"], format: (value) => share(value), most: 1 },
  { title: "Event-time lag", names: ["lag"], labels: ["lag"], ...time },
  { title: "State", names: ["stateBytes"], labels: ["state"], format: (value) => bytes(value) },
  { title: "Checkpoint duration", names: ["checkpointSeconds"], labels: ["duration"], ...time },
];

export interface Drawn {
  facts: ChartFacts;
  /** Seconds, then one list per series. */
  data: [number[], ...(number | null)[][]];
  labels: string[];
}

/** Only what has a value at all. */
export function charts(metrics: Metrics): Drawn[] {
  const seconds = metrics.timesMs.map((ms) => ms / 1000);
  return CHARTS.flatMap((facts) => {
    const found = facts.names
      .map((name, index) => ({ series: metrics.series.find((one) => one.name === name), label: facts.labels[index]! }))
      .filter((one): one is { series: Series; label: string } => one.series?.values.some((value) => value !== null) ?? false);
    if (!found.length) return [];
    const data: Drawn["data"] = [seconds, ...found.map((one) => one.series.values)];
    return [{ facts, data, labels: found.map((one) => one.label) }];
  });
}

/** What a chart says in words: the newest value of each series, with the range. */
export function summary(drawn: Drawn): string {
  const [, ...lists] = drawn.data;
  return lists
    .map((values, index) => {
      const known = values.filter((value): value is number => value !== null);
      const last = known.at(-1) ?? null;
      const { format } = drawn.facts;
      return `${drawn.labels[index]} ${format(last)}, between ${format(Math.min(...known))} and ${format(Math.max(...known))}`;
    })
    .join("; ");
}
