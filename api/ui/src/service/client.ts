/* Requests to the service that this page came from, and what went wrong in one sentence.

   Addresses are relative to the page: it works below any path. Knows no page. */
import type { JobRef, Operation, Problem, Session } from "./types.ts";

/** A refusal, or no answer at all (`status` 0). `message` is one sentence for people. */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: { field: string; message: string; manager?: string | null }[] = [],
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
    this.name = "ServiceError";
  }

  /** Nobody answered, or nobody can now: what is shown is old, and it is worth asking again. */
  get lost(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** One sentence for whatever was thrown. */
export function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

/** `path` is below api/v1/, without a slash in front. */
export function address(path: string, query: Query = {}): string {
  const base = typeof document === "undefined" ? "http://localhost/" : document.baseURI;
  const url = new URL(`api/v1/${path}`, base);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  return url.href;
}

export type Query = Record<string, string | number | boolean | undefined | null>;

export function jobPath(job: JobRef, rest = ""): string {
  const path = `jobs/${encodeURIComponent(job.namespace)}/${encodeURIComponent(job.name)}`;
  return rest ? `${path}/${rest}` : path;
}

const PATIENCE_MS = 20_000;

let csrf: string | null = null;

/** Who we are; also keeps the token against forged requests for later writes. */
export async function session(): Promise<Session> {
  const found = await read<Session>("session");
  csrf = found.csrfToken;
  return found;
}

export async function login(token: string): Promise<Session> {
  const found = await send<Session>("POST", "session", { token });
  csrf = found.csrfToken;
  return found;
}

export async function logout(): Promise<void> {
  await send<unknown>("DELETE", "session");
  csrf = null;
}

export async function read<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return (await ask("GET", address(path, query), undefined, {}, signal)) as T;
}

/** Begins an operation. The same `key` makes a repeated request the same operation. */
export async function begin(path: string, body: object, query: Query = {}, key = newKey()): Promise<Operation> {
  return send<Operation>("POST", path, body, query, key);
}

/** A session that another tab has opened anew has another token against forged requests: it is asked for once. */
export async function send<T>(
  method: "POST" | "DELETE",
  path: string,
  body?: object,
  query: Query = {},
  key = newKey(),
): Promise<T> {
  const go = async (): Promise<T> => {
    const headers: Record<string, string> = { "Idempotency-Key": key };
    if (csrf) headers["X-CSRF-Token"] = csrf;
    return (await ask(method, address(path, query), body, headers)) as T;
  };
  try {
    return await go();
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== "CSRF" || path === "session") throw error;
    await session();
    return await go();
  }
}

export function newKey(): string {
  const random = crypto.getRandomValues(new Uint32Array(4));
  return `page-${[...random].map((part) => part.toString(16).padStart(8, "0")).join("")}`;
}

async function ask(
  method: string,
  url: string,
  body: object | undefined,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<unknown> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const init: RequestInit = {
    method,
    headers: { Accept: "application/json", ...headers },
    credentials: "same-origin",
    signal: signal ? AbortSignal.any([signal, late]) : late,
  };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...init.headers, "Content-Type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    const why = late.aborted ? `has not answered within ${PATIENCE_MS / 1000} s` : "does not answer";
    throw new ServiceError(0, "LOST", `the service ${why}: it is looked for again`);
  }
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? null : ((await response.json()) as unknown);
}

/** What a refusal says, whether it comes from the service (problem+json) or from a proxy before it. */
export async function refusal(response: Response): Promise<ServiceError> {
  const wait = Number(response.headers.get("Retry-After"));
  const retry = Number.isFinite(wait) && wait > 0 ? wait : null;
  if ((response.headers.get("Content-Type") ?? "").includes("json")) {
    try {
      const problem = (await response.json()) as Partial<Problem>;
      const said = problem.detail || problem.title || `the service refused (${response.status})`;
      const text = retry && !/\d+ s\b/.test(said) ? `${said.replace(/\.$/, "")}: try again in ${retry} s` : said;
      return new ServiceError(response.status, problem.code ?? "", text, problem.errors ?? [], retry);
    } catch {
      /* cut short: told like any other refusal */
    }
  }
  const text = `the service refused with status ${response.status} ${response.statusText}`.trim();
  return new ServiceError(response.status, "", text, [], retry);
}
