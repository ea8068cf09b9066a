/* A checkpoint's time, in parts that follow each other, and the scale of a timeline. Pure. */
import type { Checkpoint } from "../service/types.ts";

export interface Phase {
  name: string;
  key: "align" | "sync" | "async" | "rest" | "store";
  ms: number;
}

/** Parts of the whole duration. What no phase accounts for (barriers on their way, waiting for the last task) is `waiting`. */
export function phases(checkpoint: Checkpoint): Phase[] {
  const total = Math.max(checkpoint.durationMs, 0);
  const store = Math.min(checkpoint.storeMs ?? 0, total);
  let room = total - store;
  const take = (ms: number): number => {
    const part = Math.min(Math.max(ms, 0), room);
    room -= part;
    return part;
  };
  const align = take(checkpoint.alignmentMs);
  const sync = take(checkpoint.syncMs);
  const rest = take(checkpoint.asyncMs);
  const parts: Phase[] = [
    { name: "waiting for barriers", key: "rest", ms: room },
    { name: "alignment", key: "align", ms: align },
    { name: "standing still", key: "sync", ms: sync },
    { name: "storing state", key: "async", ms: rest },
    { name: "completing", key: "store", ms: store },
  ];
  return parts.filter((phase) => phase.ms > 0);
}

/** A round number not below the largest, so that bars do not dance at each new one. */
export function ceiling(values: readonly number[]): number {
  const most = Math.max(1, ...values);
  const power = 10 ** Math.floor(Math.log10(most));
  for (const step of [1, 2, 5, 10]) if (step * power >= most) return step * power;
  return 10 * power;
}

export const going = (checkpoint: Checkpoint): boolean =>
  checkpoint.status === "Running" || checkpoint.status === "Storing";
