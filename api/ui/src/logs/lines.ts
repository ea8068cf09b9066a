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

export function where(line: LogLine): string {
  const subtask = line.subtask === null ? "" : `#${line.subtask}`;
  if (line.operator) return `${line.operator}${subtask}`;
  if (line.taskManager) return line.slot === null ? line.taskManager : `${line.taskManager}/${line.slot}`;
  return line.source;
}

export function asText(line: LogLine): string {
  const head = `${line.at} ${line.level.padEnd(7)} ${where(line)}: ${line.message}`;
  return line.traceback ? `${head}\n${line.traceback}` : head;
}
