/* Figures as people read them: three digits, a unit, and always the same words. Pure. */

const SCALES = ["", " k", " M", " G", " T", " P"];
export const NOTHING = "–";

/** 3 significant digits with SI prefix: 999, 1.20 k, 30.2 k, 1.85 M. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (Math.abs(value) < 1000) {
    const short = Math.abs(value) < 10 ? Math.round(value * 10) / 10 : Math.round(value);
    if (Math.abs(short) < 1000) return String(short);
  }
  return scaled(value, 1000, SCALES);
}

function scaled(value: number, step: number, names: string[]): string {
  let rest = value;
  let power = 0;
  while (Math.abs(rest) >= 999.5 && power < names.length - 1) {
    rest /= step;
    power += 1;
  }
  return `${digits(rest)}${names[power]}`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  return size >= 99.95 ? value.toFixed(0) : size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export function rate(value: number | null | undefined): string {
  const text = count(value);
  return text === NOTHING ? text : `${text} rows/s`;
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (Math.abs(value) < 999.5) return `${Math.round(value)} B`;
  return scaled(value, 1000, [" B", " kB", " MB", " GB", " TB", " PB"]);
}

/** 0 to 1 as whole per cent; what is not quite none or all is not said to be. */
export function share(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (value > 0 && value < 0.005) return "<1 %";
  if (value < 1 && value >= 0.995) return ">99 %";
  return `${Math.round(value * 100)} %`;
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (value < 1 && value > 0) return "<1 ms";
  if (value < 999.5) return `${Math.round(value)} ms`;
  return duration(value / 1000);
}

/** Of marked rows: what takes longer than a minute is only known to. */
export function latency(ms: number | null | undefined): string {
  return ms !== null && ms !== undefined && ms >= 65_536 ? ">1 min" : milliseconds(ms);
}

/** Two units at most: 1.2 s, 2 min 05 s, 3 h 12 min, 4 d 6 h. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  if (seconds < 0) return `−${duration(-seconds)}`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** One unit, for the axis of a chart: 250 ms, 30 s, 12 min, 1.5 h, 2 d. */
export function roughly(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  if (seconds === 0) return "0";
  const [size, name] = seconds < 1 ? [0.001, "ms"] : seconds < 120 ? [1, "s"] : seconds < 7200 ? [60, "min"] : seconds < 172_800 ? [3600, "h"] : [86_400, "d"];
  return `${Math.round((seconds / (size as number)) * 10) / 10} ${name}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** How long ago; never in the future, whatever the clocks say. */
export function age(at: string | null | undefined, nowMs: number): string {
  const seconds = ageSeconds(at, nowMs);
  if (seconds === null) return "never";
  return seconds < 1 ? "just now" : `${duration(Math.floor(seconds))} ago`;
}

export function ageSeconds(at: string | null | undefined, nowMs: number): number | null {
  if (!at) return null;
  const then = Date.parse(at);
  return Number.isNaN(then) ? null : Math.max(0, (nowMs - then) / 1000);
}

/** Time of day where the reader is; with the day when it is another one. */
export function clock(at: string | number | null | undefined, nowMs: number, subsecond = false): string {
  if (at === null || at === undefined || at === "") return NOTHING;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return NOTHING;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const full = subsecond ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time;
  return date.toDateString() === new Date(nowMs).toDateString() ? full : `${day(date)} ${full}`;
}

function day(date: Date): string {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Event time in UTC: it need not be near the reader's clock. */
export function eventTime(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "none yet";
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "at its end";
  return date.toISOString().replace("T", " ").replace(/\.000Z$/, "").replace(/Z$/, "");
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A vertex by its first operator, for sentences: chains have long names. */
export function brief(name: string, most = 34): string {
  const [first = "", ...rest] = name.split(" → ");
  const head = first.length > most ? `${first.slice(0, most - 1).trimEnd()}…` : first;
  return rest.length && !head.endsWith("…") ? `${head} → …` : head;
}

/** What an error says in one line: the exception of a traceback and where it was raised, else its first line. */
export function headline(text: string): string {
  const lines = text.split("\n").map((line) => line.trimEnd()).filter(Boolean);
  if (!lines.some((line) => line.startsWith("Traceback "))) return lines[0] ?? "";
  const said = lines.filter((line) => !/^(\s|Traceback )/.test(line));
  const where = said.find((line) => line.startsWith("in operator: "));
  const what = said.find((line) => !/^(in operator|row): /.test(line)) ?? lines[0]!;
  return where ? `${what}, in ${where.slice(13)}` : what;
}

/** What to print for a setting. */
export function setting(value: unknown): string {
  if (value === null || value === undefined) return "not set";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
