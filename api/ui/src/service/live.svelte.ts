/* One answer of the service that is kept fresh while it is looked at.

   Asked again some seconds after the last answer, never twice at once, not while the page is hidden, and less often the
   longer the service is lost. What was known stays, marked as old. */
import { read, sentence, ServiceError, type Query } from "./client.ts";
import { link, NOW } from "./link.svelte.ts";

/** A service that is started anew is back within seconds. */
const LONGEST_WAIT_MS = 10_000;

export class Live<T> {
  data = $state.raw<T | null>(null);
  /** One sentence; null: the last answer came. */
  error = $state<string | null>(null);
  status = $state(0);
  loading = $state(true);
  #path: string;
  #query: Query;
  #everyMs: number;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #asking: AbortController | null = null;
  #failures = 0;
  #closed = false;
  #again = false;

  constructor(path: string, query: Query = {}, everyMs = 2000) {
    this.#path = path;
    this.#query = query;
    this.#everyMs = everyMs;
  }

  /** Begins; what it returns ends it. To be called from $effect. */
  open(): () => void {
    this.#closed = false;
    const shown = (): void => {
      if (document.visibilityState === "visible") this.refresh();
    };
    document.addEventListener("visibilitychange", shown);
    document.addEventListener(NOW, shown);
    window.addEventListener("online", shown);
    this.refresh();
    return () => {
      this.#closed = true;
      document.removeEventListener("visibilitychange", shown);
      document.removeEventListener(NOW, shown);
      window.removeEventListener("online", shown);
      this.#asking?.abort();
      this.#asking = null;
      if (this.#timer) clearTimeout(this.#timer);
    };
  }

  /** What the stream has sent: as good as an answer. */
  take(data: T): void {
    if (this.#closed) return;
    this.data = data;
    this.error = null;
    this.loading = false;
    this.#failures = 0;
  }

  /** How often to ask from now on. */
  pace(everyMs: number): void {
    if (this.#everyMs === everyMs) return;
    const sooner = everyMs < this.#everyMs;
    this.#everyMs = everyMs;
    if (sooner && !this.loading) this.refresh();
  }

  /** Asks something else from now on; what was known stays until it is answered. */
  ask(query: Query): void {
    this.#query = query;
    if (this.#asking) {
      this.#asking.abort();
      this.#asking = null;
    }
    this.refresh();
  }

  refresh(): void {
    if (this.#closed) return;
    if (this.#asking) {
      this.#again = true;
      return;
    }
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const found = await read<T>(this.#path, this.#query, asking.signal);
      if (asking.signal.aborted) return;
      this.data = found;
      this.error = null;
      this.status = 200;
      this.#failures = 0;
      link.answered();
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#failures += 1;
      this.error = sentence(error);
      this.status = error instanceof ServiceError ? error.status : 0;
      link.failed(error);
    } finally {
      if (this.#asking === asking) this.#asking = null;
    }
    this.loading = false;
    if (this.#closed) return;
    const again = this.#again;
    this.#again = false;
    if (again && !this.#failures) this.refresh();
    else if (this.#everyMs > 0) this.#timer = setTimeout(() => this.#due(), this.#wait());
  }

  #due(): void {
    this.#timer = null;
    if (document.visibilityState === "visible") this.refresh();
  }

  #wait(): number {
    const later = this.#everyMs * 2 ** Math.min(this.#failures, 4);
    return this.#failures ? Math.min(LONGEST_WAIT_MS, later) : later;
  }
}
