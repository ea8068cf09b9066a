/* What can be asked of a job, in words, and the request that each becomes. Pure. */
import type { Action, Job } from "../service/types.ts";

export type Ask = "name" | "drain" | "timeout" | "parallelism" | "reason";

export interface ActionFacts {
  path: string;
  title: string;
  text: string;
  button: string;
  asks: Ask[];
  danger?: boolean;
  /** The job's name has to be typed first. */
  typed?: boolean;
}

export interface Answers {
  name: string;
  drain: boolean;
  timeout: string;
  parallelism: number | null;
  reason: string;
  typed: string;
}

export const ACTIONS: Partial<Record<Action, ActionFacts>> = {
  savepoint: {
    path: "savepoints", title: "Savepoint of", button: "Take savepoint", asks: ["name"],
    text: "All of the job's state is written to a place of its own, which stays until somebody deletes it. The job goes on meanwhile.",
  },
  stop: {
    path: "stop", title: "Stop", button: "Stop with savepoint", asks: ["name", "drain", "timeout"], danger: true,
    text: "The job writes a savepoint, and ends. Another run can go on from it; nothing is lost or done twice.",
  },
  suspend: {
    path: "suspend", title: "Suspend", button: "Suspend", asks: [], danger: true,
    text: "The job writes a savepoint and gives its slots back. Resume has it go on from there.",
  },
  resume: {
    path: "resume", title: "Resume", button: "Resume", asks: ["parallelism"],
    text: "The job goes on from where it stopped.",
  },
  scale: {
    path: "scale", title: "Scale", button: "Change parallelism", asks: ["parallelism"],
    text: "The job takes a checkpoint, and all tasks go on from it at another parallelism. State moves with its keys.",
  },
  restart: {
    path: "restart", title: "Restart the tasks of", button: "Restart tasks", asks: ["reason"],
    text: "The job takes a checkpoint, and all tasks begin anew from it. This does not count as a failure.",
  },
  cancel: {
    path: "cancel", title: "Cancel", button: "Cancel the job", asks: [], danger: true, typed: true,
    text: "The job ends at once and for good, without a snapshot. What it has stored stays; rows since its last checkpoint are not published.",
  },
};

/** Only what differs from what the service does by itself. */
export function wish(action: Action, answers: Answers, job: Job): object {
  const asks = ACTIONS[action]?.asks ?? [];
  const body: Record<string, unknown> = {};
  if (asks.includes("name") && answers.name) body["name"] = answers.name;
  if (asks.includes("drain") && answers.drain) body["drain"] = true;
  if (asks.includes("timeout") && answers.timeout) body["timeout"] = answers.timeout;
  if (asks.includes("reason") && answers.reason) body["reason"] = answers.reason;
  if (asks.includes("parallelism") && answers.parallelism)
    if (action === "scale" || answers.parallelism !== job.parallelism) body["parallelism"] = answers.parallelism;
  return body;
}

/** `name=value` lines; `name=` sets it to nothing, `-name` removes it. Throws with the line that is neither. */
export function settings(text: string): Record<string, string | number | null> | null {
  const found: Record<string, string | number | null> = {};
  for (const line of text.split("\n").map((part) => part.trim())) {
    if (!line) continue;
    const at = line.indexOf("=");
    if (line.startsWith("-") && at < 0 && line.length > 1) found[line.slice(1).trim()] = null;
    else if (at > 0) {
      const value = line.slice(at + 1).trim();
      found[line.slice(0, at).trim()] = /^-?(0|[1-9]\d{0,14})$/.test(value) ? Number(value) : value;
    } else throw new Error(`“${line}” is neither name=value nor -name`);
  }
  return Object.keys(found).length ? found : null;
}
