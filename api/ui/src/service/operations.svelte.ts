/* What was asked for from this page, until it is done: each is looked at once a second. */
import { begin, jobPath, newKey, read, send, sentence, ServiceError, type Query } from "./client.ts";
import type { JobRef, Operation, OperationKind } from "./types.ts";

const LOOK_MS = 1000;
const FAILURES_BORNE = 10;

export interface Asked {
  id: string;
  operation: Operation;
  /** One sentence, when it cannot be looked at any more. */
  lost: string | null;
}

export class Operations {
  asked = $state.raw<Asked[]>([]);
  #unanswered: { what: string; key: string } | null = null;
  #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(
    readonly job: JobRef,
    readonly ended: () => void,
  ) {}

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Throws ServiceError when it is refused at once. Asked again after no answer came, it is the same operation. */
  async begin(path: string, body: object, query: Query = {}): Promise<Operation> {
    const what = JSON.stringify([path, body, query]);
    const key = this.#unanswered?.what === what ? this.#unanswered.key : newKey();
    this.#unanswered = null;
    try {
      return this.#taken(await begin(jobPath(this.job, path), body, query, key));
    } catch (error) {
      if (error instanceof ServiceError && error.lost) this.#unanswered = { what, key };
      throw error;
    }
  }

  async remove(path: string): Promise<Operation> {
    return this.#taken(await send<Operation>("DELETE", jobPath(this.job, path)));
  }

  dismiss(id: string): void {
    this.asked = this.asked.filter((one) => one.id !== id);
  }

  #taken(operation: Operation): Operation {
    this.#keep({ id: operation.id, operation, lost: null });
    this.ended();
    if (!over(operation)) this.#later(operation.id, 0);
    return operation;
  }

  #keep(asked: Asked): void {
    this.asked = [asked, ...this.asked.filter((one) => one.id !== asked.id)].slice(0, 5);
  }

  #later(id: string, failures: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#look(id, failures);
    }, LOOK_MS);
    this.#timers.add(timer);
  }

  async #look(id: string, failures: number): Promise<void> {
    const known = this.asked.find((one) => one.id === id);
    if (!known) return;
    try {
      const operation = await read<Operation>(`operations/${encodeURIComponent(id)}`);
      this.asked = this.asked.map((one) => (one.id === id ? { id, operation, lost: null } : one));
      if (over(operation)) this.ended();
      else this.#later(id, 0);
    } catch (error) {
      if (failures < FAILURES_BORNE) return this.#later(id, failures + 1);
      this.asked = this.asked.map((one) => (one.id === id ? { ...one, lost: sentence(error) } : one));
    }
  }
}

export function over(operation: Operation): boolean {
  return operation.state === "Done" || operation.state === "Failed";
}

const WORDS: Record<OperationKind, [string, string]> = {
  Savepoint: ["Savepoint is being taken", "Savepoint is complete"],
  Stop: ["Job is being stopped with a savepoint", "Job has stopped"],
  Upgrade: ["Job is being upgraded", "Job is upgraded"],
  Suspend: ["Job is being suspended", "Job is suspended"],
  Resume: ["Job is being resumed", "Job goes on"],
  Scale: ["Parallelism is being changed", "Parallelism is changed"],
  Cancel: ["Job is being cancelled", "Job is cancelled"],
  Restart: ["Tasks are being restarted", "Tasks have been restarted"],
  VerifySnapshot: ["Snapshot is being read", "Snapshot is whole"],
  DeleteSnapshot: ["Snapshot is being deleted", "Snapshot is deleted"],
  Restore: ["Job is being restored from a snapshot", "Job goes on from the snapshot"],
  Submit: ["Job is being made", "Job is made"],
};

/** What is going on, or has come of it, in a few words. */
export function told(operation: Operation): string {
  const [going, done] = WORDS[operation.kind] ?? [operation.kind, operation.kind];
  if (operation.state === "Failed") return `${going.replace(/ (is|are) being .*/, "")}: ${operation.error?.message ?? "failed"}`;
  if (operation.state !== "Done") return operation.progress.step ? `${going}: ${operation.progress.step}` : going;
  const name = operation.result?.snapshot?.name ?? operation.result?.snapshot?.path;
  return name && operation.kind !== "DeleteSnapshot" ? `${done}: ${name}` : done;
}
