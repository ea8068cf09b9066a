/* One job while it is looked at: its answer at a glance, kept fresh by one stream that all tabs share.

   A tab wants topics besides (`want`); the stream is opened anew with them. While the stream is open nobody asks. */
import { untrack } from "svelte";
import { jobPath } from "./client.ts";
import { Live } from "./live.svelte.ts";
import { Stream } from "./stream.svelte.ts";
import type { Change, Job, JobRef } from "./types.ts";

const MOST_CHANGES = 50;
const ASK_MS = 2000;
/** Characters of an answer. */
const LARGE = 60_000;
const SELDOM_MS = 30_000;

export class JobLive {
  readonly job: Live<Job>;
  readonly stream = new Stream();
  changes = $state.raw<Change[]>([]);
  /** A graph of many vertices is 200 kB each time: it is sent less often. */
  #large = $state(false);
  #topics = $state.raw<Record<string, Live<never>>>({});

  constructor(readonly ref: JobRef) {
    this.job = new Live<Job>(jobPath(ref), {}, ASK_MS);
  }

  open(): () => void {
    const closeJob = this.job.open();
    return () => closeJob();
  }

  /** To be called from $effect of its own: runs again when other topics are wanted. */
  follow(): () => void {
    const topics = this.#topics;
    const on: Record<string, (data: string) => void> = {
      job: (data) => this.job.take(JSON.parse(data) as Job),
      change: (data) => this.#changed(JSON.parse(data) as Change),
      expired: () => this.job.refresh(),
      problem: () => this.job.refresh(),
    };
    for (const [name, live] of Object.entries(topics))
      on[name] = (data) => {
        live.take(JSON.parse(data) as never);
        if (name === "graph") this.#large = data.length > LARGE;
      };
    const every = "graph" in topics && this.#large ? 5 : 2;
    const names = ["job", "change", ...Object.keys(topics)].join(",");
    return this.stream.open(jobPath(this.ref, "events"), on, () => ({ topics: names, every }));
  }

  /** Whoever shows a topic keeps it fresh, too; what it returns ends that. */
  want<T>(topic: "graph" | "checkpoints" | "exceptions" | "snapshots", live: Live<T>): () => void {
    this.#topics = { ...untrack(() => this.#topics), [topic]: live as Live<never> };
    const close = live.open();
    return () => {
      const rest = { ...untrack(() => this.#topics) };
      delete rest[topic];
      this.#topics = rest;
      close();
    };
  }

  /** Asks often only while there is no stream. */
  pace(): void {
    const everyMs = this.stream.state === "open" ? SELDOM_MS : ASK_MS;
    this.job.pace(everyMs);
    for (const live of Object.values(this.#topics)) live.pace(everyMs);
  }

  #changed(change: Change): void {
    if (this.changes.some((known) => known.sequence === change.sequence)) return;
    this.changes = [change, ...this.changes].slice(0, MOST_CHANGES);
  }
}
