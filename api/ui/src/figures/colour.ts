/* Colours of shares and states, as CSS over the variables of shell/page.css. Pure.

   Blue to orange-red can be told apart with every common colour blindness; back-pressure is hatched besides, and every
   colour stands beside a word. */
import type { State, TaskState } from "../service/types.ts";

/** 0: cool, 0.5: neutral, 1: hot. */
export function heat(share: number): string {
  const value = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0));
  if (value <= 0.5) return mix("--heat-middle", "--heat-cool", value * 2);
  return mix("--heat-hot", "--heat-middle", (value - 0.5) * 2);
}

function mix(to: string, from: string, part: number): string {
  return `color-mix(in oklab, var(${to}) ${Math.round(part * 100)}%, var(${from}))`;
}

/** What limits a vertex, in one word; the same words everywhere. */
export type Pressure = "stopped" | "idle" | "working" | "busy" | "back-pressured";

/** `busiest` and `most` are of the subtask that is worst off. */
export function pressure(running: boolean, busiest: number, mostBackpressured: number): Pressure {
  if (!running) return "stopped";
  if (mostBackpressured >= 0.5 && mostBackpressured >= busiest) return "back-pressured";
  if (busiest >= 0.8) return "busy";
  if (mostBackpressured >= 0.1 && mostBackpressured > busiest) return "back-pressured";
  return busiest >= 0.1 ? "working" : "idle";
}

export type Tone = "good" | "moving" | "warn" | "bad" | "quiet";

const TONES: Record<State | TaskState, Tone> = {
  Pending: "moving", Preflight: "moving", Waiting: "moving", Starting: "moving", Deploying: "moving",
  Running: "good", Restarting: "warn", Rescaling: "moving", Upgrading: "moving", RollingBack: "warn",
  Stopping: "moving", Suspending: "moving", Suspended: "quiet", Finished: "quiet", Cancelled: "quiet",
  Failed: "bad", Deleting: "moving", Unknown: "warn",
};

export function tone(state: State | TaskState): Tone {
  return TONES[state] ?? "quiet";
}

/** A shape per tone, so that states differ without colour. */
export const SIGNS: Record<Tone, string> = {
  good: "●", moving: "◐", warn: "▲", bad: "✕", quiet: "■",
};

/** How worrying an age or lag is, against the interval it should have. */
export function urgency(seconds: number | null, warn: number, bad: number): Tone {
  if (seconds === null) return "quiet";
  return seconds >= bad ? "bad" : seconds >= warn ? "warn" : "good";
}
