/* Whether the service answers, for the whole page: one line says so, once, and when it is back. */
import { sentence, ServiceError } from "./client.ts";

class Link {
  /** Null: it answers. */
  lost = $state<string | null>(null);
  /** 401: somebody has to log in. */
  login = $state(false);
  #failures = 0;

  answered(): void {
    this.#failures = 0;
    if (this.lost) this.lost = null;
  }

  failed(error: unknown): void {
    if (!(error instanceof ServiceError)) return;
    if (error.status === 401) this.login = true;
    if (!error.lost || error.status === 503) return;
    this.#failures += 1;
    if (this.#failures >= 2) this.lost = sentence(error);
  }
}

/** Somebody does not want to wait until it is asked again: all that is shown is asked for now. */
export const NOW = "flowjob-now";

export function askNow(): void {
  document.dispatchEvent(new Event(NOW));
}

export const link = new Link();
