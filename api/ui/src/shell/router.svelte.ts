/* Where the reader is, from the part of the address behind `#`: the service need not know any page. */
import type { JobRef } from "../service/types.ts";

export const TABS = ["graph", "checkpoints", "snapshots", "exceptions", "logs", "metrics", "configuration"] as const;
export type Tab = (typeof TABS)[number];

export type Place =
  | { page: "jobs"; query: URLSearchParams }
  | { page: "job"; job: JobRef; tab: Tab; query: URLSearchParams };

/** What an address means; whatever is unknown leads to the list of jobs, or to a job's graph. */
export function parsed(hash: string): Place {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const query = new URLSearchParams(search);
  const parts = path.split("/").filter(Boolean).map(decoded);
  const [page, namespace, name, tab] = parts;
  if (page !== "jobs" || !namespace || !name) return { page: "jobs", query };
  const known = TABS.find((candidate) => candidate === tab) ?? "graph";
  return { page: "job", job: { namespace, name }, tab: known, query };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function toJobs(query: Record<string, string> = {}): string {
  return `#/${search(query)}`;
}

export function toJob(job: JobRef, tab: Tab = "graph", query: Record<string, string> = {}): string {
  const path = [job.namespace, job.name].map(encodeURIComponent).join("/");
  return `#/jobs/${path}/${tab}${search(query)}`;
}

function search(query: Record<string, string>): string {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return text ? `?${text}` : "";
}

class Router {
  place = $state.raw<Place>(parsed(typeof location === "undefined" ? "" : location.hash));

  listen(): () => void {
    const moved = (): void => {
      this.place = parsed(location.hash);
    };
    window.addEventListener("hashchange", moved);
    moved();
    return () => window.removeEventListener("hashchange", moved);
  }

  go(hash: string): void {
    location.hash = hash;
  }

  /** Without a step to go back to: choices on a page. */
  replace(hash: string): void {
    history.replaceState(null, "", hash);
    this.place = parsed(hash);
  }
}

export const router = new Router();
