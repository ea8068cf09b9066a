/* Log lines that are kept on the page: so many and no more, in order, each once. Pure. */
import type { LogLine } from "../service/types.ts";

export const MOST_LINES = 5000;

/** `known` with `more` behind it; the oldest go when there are too many. Lines that are known already are left out. */
export function joined(known: readonly LogLine[], more: readonly LogLine[], most = MOST_LINES): LogLine[] {
  const last = known.at(-1)?.sequence ?? 0;
  const fresh = more.filter((line) => line.sequence > last);
  const all = [...known, ...fresh];
  return all.length > most ? all.slice(all.length - most) : all;
}

/** Who says it: an operator, else a process. */
export function place(line: LogLine): string {
  return line.operator ?? line.taskManager ?? line.source;
}

/** Which subtask of the operator, or which slot of the TaskManager. */
export function number(line: LogLine): string {
  if (line.operator) return line.subtask === null ? "" : `#${line.subtask}`;
  return line.taskManager && line.slot !== null ? `/${line.slot}` : "";
}

export function where(line: LogLine): string {
  return place(line) + number(line);
}

export function asText(line: LogLine): string {
  const head = `${line.at} ${line.level.padEnd(7)} ${where(line)}: ${line.message}`;
  return line.traceback ? `${head}\n${line.traceback}` : head;
}
