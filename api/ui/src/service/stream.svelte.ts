/* Changes as they happen (SSE). The browser goes on from where it was by Last-Event-ID; what it gives up on is opened
   anew here, later and later. Without any stream the page lives on asking.

   Hidden pages have no stream: browsers allow six connections to a service, for all tabs together. */
import { address, type Query } from "./client.ts";
import { NOW } from "./link.svelte.ts";

export type StreamState = "opening" | "open" | "waiting" | "closed";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;

export class Stream {
  state = $state<StreamState>("closed");
  #source: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #waitMs = FIRST_WAIT_MS;

  /** `on`: what to do with each kind of event; `query` is asked anew at each opening. */
  open(path: string, on: Record<string, (data: string) => void>, query: () => Query = () => ({})): () => void {
    const looked = (): void => {
      this.#end();
      if (document.visibilityState === "visible") this.#begin(path, on, query);
    };
    const now = (): void => {
      if (this.state === "waiting") looked();
    };
    document.addEventListener("visibilitychange", looked);
    document.addEventListener(NOW, now);
    looked();
    return () => {
      document.removeEventListener("visibilitychange", looked);
      document.removeEventListener(NOW, now);
      this.#end();
    };
  }

  #begin(path: string, on: Record<string, (data: string) => void>, query: () => Query): void {
    this.state = "opening";
    const source = new EventSource(address(path, query()), { withCredentials: false });
    this.#source = source;
    source.onopen = () => {
      this.state = "open";
      this.#waitMs = FIRST_WAIT_MS;
    };
    source.onerror = () => {
      this.state = "waiting";
      if (source.readyState !== EventSource.CLOSED) return;
      this.#timer = setTimeout(() => this.#begin(path, on, query), this.#waitMs);
      this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
    };
    for (const [name, handle] of Object.entries(on))
      source.addEventListener(name, (event) => handle((event as MessageEvent<string>).data));
  }

  #end(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#source?.close();
    this.#source = null;
    this.state = "closed";
  }
}
