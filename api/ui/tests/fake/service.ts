/* A service with jobs to look at, for `npm run dev` and for tests that need states no real job gets into by itself.

   Its answers have the types that are made from the real service's OpenAPI. It can be told to be gone. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Job, JobList, JobSummary, Operation, Problem, Session, State, UpgradePlan } from "../../src/service/types.ts";
import { largeGraph, moved, numbers, ordersGraph, tasksOf } from "./graphs.ts";
import * as past from "./histories.ts";

export interface Fake {
  /** False: not one of the service's paths. */
  handle: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** What was asked for, besides reading. */
  asked: { method: string; path: string; body: unknown }[];
  gone: boolean;
  /** Operations go on to their end only when this is false. */
  holds: boolean;
  session: Session;
  close: () => void;
}

const NAMES = ["orders", "large", "clicks", "fraud", "sessions", "invoices", "stock", "mails", "ads", "search"];
const STATES: State[] = ["Running", "Running", "Running", "Failed", "Restarting", "Suspended", "Finished", "Running", "Upgrading", "Running"];

function moves(operator: string, uid: string, bytes: number, before: number, after: number): UpgradePlan["state"][number] {
  const rows = Math.round(bytes / 120);
  const wider = before !== after;
  return {
    operator, uid, outcome: wider ? "Redistributed" : "Kept", text: wider ? "dealt out anew by its keys" : "", rows, bytes, subtasksBefore: before, subtasksAfter: after,
    states: [{ name: "rows", rows, bytes }],
  };
}

function summary(index: number, now: number): JobSummary {
  const next = numbers(index + 1);
  const name = index < NAMES.length ? NAMES[index]! : `job-${String(index).padStart(4, "0")}`;
  const state = index < STATES.length ? STATES[index]! : next() < 0.03 ? "Failed" : "Running";
  const over = ["Failed", "Finished", "Suspended"].includes(state);
  return {
    namespace: index % 3 === 2 ? "web" : "shop", name, uid: `uid-${index}`, state,
    health: state === "Failed" ? "Bad" : state === "Restarting" ? "Degraded" : state === "Upgrading" ? "Progressing" : "Good",
    parallelism: index === 1 ? 128 : 8, maxParallelism: index === 1 ? 1024 : 128, version: "0.1.0", attempt: 3, restarts: index === 0 ? 2 : index === 3 ? 11 : Math.floor(next() * 1.2),
    createdAt: new Date(now - 9e7).toISOString(), startedAt: new Date(now - 8.7e7 + index * 3e6).toISOString(), endedAt: over ? new Date(now - 3e6).toISOString() : null,
    lastCheckpointAt: new Date(now - (over ? 3e6 : 11_000)).toISOString(), stateBytes: Math.round(next() * 3e9),
    message: state === "Failed" ? "The job failed 10 times within 10 minutes: ZeroDivisionError in “rate”, subtask 3." : state === "Restarting" ? "TaskManager sessions-1 has not been heard of for 10 s." : null,
    image: `registry.example/shop/${name}:${7 + (index % 4)}`, labels: { team: index % 2 ? "web" : "shop" },
  };
}

/** `clock`: what time it is there, in ms. */
export function fakeService(clock: () => number = Date.now): Fake {
  const graphs = { orders: ordersGraph(), large: largeGraph() };
  let rounds = 0;
  const operations = new Map<string, { operation: Operation; looks: number }>();
  const streams = new Set<ServerResponse>();
  const timers = new Set<ReturnType<typeof setInterval>>();
  const fake: Fake = {
    handle, asked: [], gone: false, holds: false, close: () => { timers.forEach(clearInterval); streams.forEach((one) => one.end()); },
    session: { user: "jane@example.com", groups: ["shop"], mode: "cluster", authentication: "token", loggedIn: true, csrfToken: "c5rf", expiresAt: null, version: "0.1.0" },
  };
  const all = (): JobSummary[] => Array.from({ length: 240 }, (_, index) => summary(index, clock()));

  function job(found: JobSummary): Job {
    const graph = found.name === "large" ? graphs.large : graphs.orders;
    const over = found.state !== "Running";
    const actions: Job["actions"] = found.state === "Suspended" ? ["resume", "cancel"] : over ? ["upgrade", "cancel"] :
      ["savepoint", "stop", "upgrade", "suspend", "scale", "cancel", "restart", "verifySnapshot", "deleteSnapshot", "restore"];
    return {
      ...found, run: "r3", local: false, actions, conditions: [{ type: "Ready", status: over ? "False" : "True", reason: found.state, message: found.message ?? "", lastTransitionTime: found.startedAt }], slots: { needed: found.parallelism, offered: over ? 0 : found.parallelism, taskManagers: Math.ceil(found.parallelism / 4) },
      checkpoints: { latest: null, completed: 406, failedInARow: 0, underWay: 1, error: null }, operation: null, final: null, vertices: graph.vertices.length,
      tasks: { Running: graph.vertices.reduce((sum, one) => sum + one.parallelism, 0) }, rowsInPerSecond: over ? 0 : 182_440, rowsOutPerSecond: over ? 0 : 1336,
      busiest: over ? 0 : 0.97, mostBackpressured: over ? 0 : 0.74, lagSeconds: over ? null : 74, exceptions: 2, error: found.message, errorCode: found.message ? "USER_CODE" : null,
      at: new Date(clock()).toISOString(),
    };
  }

  function list(query: URLSearchParams): JobList {
    const q = (query.get("q") ?? "").toLowerCase();
    const states = (query.get("state") ?? "").split(",").filter(Boolean);
    const namespace = query.get("namespace");
    const every = all();
    const counts: Record<string, number> = {};
    for (const one of every) counts[one.state] = (counts[one.state] ?? 0) + 1;
    const matching = every.filter((one) => (!q || `${one.namespace}/${one.name} ${one.image}`.includes(q)) && (!states.length || states.includes(one.state)) && (!namespace || namespace === one.namespace));
    const limit = Number(query.get("limit") ?? 100);
    return { jobs: matching.slice(0, limit), next: matching.length > limit ? "more" : null, counts };
  }

  function handle(request: IncomingMessage, response: ServerResponse): boolean {
    const url = new URL(request.url ?? "/", "http://localhost");
    const at = url.pathname.indexOf("/api/v1/");
    if (at < 0) return false;
    if (fake.gone) request.socket.destroy();
    else if (request.method === "GET") get(url.pathname.slice(at + 8).split("/").map(decodeURIComponent), url.searchParams, response);
    else void change(request, url.pathname.slice(at + 8), url.searchParams, response);
    return true;
  }

  function answer(response: ServerResponse, body: unknown, status = 200): void {
    response.writeHead(status, { "Content-Type": status < 400 ? "application/json" : "application/problem+json" });
    response.end(status === 204 ? undefined : JSON.stringify(body));
  }

  function problem(response: ServerResponse, status: number, code: string, detail: string, errors: Problem["errors"] = []): void {
    answer(response, { type: "about:blank", title: "Refused", status, code, detail, instance: "", errors }, status);
  }

  function get(parts: string[], query: URLSearchParams, response: ServerResponse): void {
    const now = clock();
    const [noun, namespace, name, what, which] = parts;
    if (noun === "session") return answer(response, fake.session);
    if (!fake.session.loggedIn) return problem(response, 401, "UNAUTHENTICATED", "log in first");
    if (noun === "operations") {
      const known = operations.get(namespace ?? "");
      if (!known) return problem(response, 404, "NOT_FOUND", "there is no such operation");
      known.looks += 1;
      if (known.looks >= 3 && !fake.holds) known.operation = { ...known.operation, state: "Done", progress: { share: 1, step: "" }, endedAt: new Date(now).toISOString() };
      else known.operation = { ...known.operation, state: "Running", progress: { share: Math.min(known.looks, 2) / 3, step: "waits for a checkpoint" } };
      return answer(response, known.operation);
    }
    if (!namespace) return answer(response, list(query));
    const found = all().find((one) => one.namespace === namespace && one.name === name);
    if (!found) return problem(response, 404, "NOT_FOUND", `there is no job ${namespace}/${name}, or you may not see it`);
    const graph = found.name === "large" ? graphs.large : graphs.orders;
    const answers: Record<string, () => unknown> = {
      graph: () => (graph === graphs.large ? moved(graph, (rounds += 1)) : graph), tasks: () => tasksOf(graph === graphs.large ? moved(graph, rounds) : graph, query.has("vertex") ? Number(query.get("vertex")) : null),
      checkpoints: () => (which ? past.checkpoint(graph, past.checkpoints(now).history.find((one) => String(one.id) === which)!) : past.checkpoints(now)),
      snapshots: () => past.snapshots(now), exceptions: () => past.exceptions(now), configuration: () => past.CONFIGURATION, plan: () => past.PLAN,
      metrics: () => past.metrics(now, query.get("window") ?? "10m", query.has("vertex") ? Number(query.get("vertex")) : null),
    };
    if (!what) return answer(response, job(found));
    if (what === "events") return stream(response, query.get("topics") ?? "", found, answers);
    if (what === "logs") return logs(response, query, now);
    const told = answers[what];
    return told ? answer(response, told()) : problem(response, 404, "NOT_FOUND", "there is nothing at this path");
  }

  function opened(response: ServerResponse, every: number, send: () => void): void {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write("retry: 500\n\n");
    streams.add(response);
    const timer = setInterval(send, every);
    timers.add(timer);
    response.on("close", () => { clearInterval(timer); timers.delete(timer); streams.delete(response); });
    send();
  }

  function stream(response: ServerResponse, topics: string, found: JobSummary, answers: Record<string, () => unknown>): void {
    let number = 0;
    opened(response, 1000, () => {
      if (fake.gone) return void response.destroy();
      number += 1;
      response.write(`event: job\ndata: ${JSON.stringify(job(found))}\n\n`);
      for (const topic of topics.split(",")) if (answers[topic]) response.write(`event: ${topic}\ndata: ${JSON.stringify(answers[topic]())}\n\n`);
      const change = { sequence: number, at: new Date(clock()).toISOString(), topic: "checkpoint", text: "checkpoint 411 is complete: 1.62 GB in 486 ms", state: "Running", checkpoint: 411 };
      response.write(`id: ${number}\nevent: change\ndata: ${JSON.stringify(change)}\n\n`);
    });
  }

  function logs(response: ServerResponse, query: URLSearchParams, now: number): void {
    const order = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
    const fits = (sequence: number) => {
      const line = past.logLine(sequence, now - (2000 - sequence) * 310);
      const level = order.indexOf(line.level) >= order.indexOf(query.get("level") ?? "DEBUG");
      const vertex = !query.get("vertex") || String(line.vertex) === query.get("vertex");
      const source = !query.get("source") || line.source === query.get("source");
      return level && vertex && source && line.message.toLowerCase().includes((query.get("q") ?? "").toLowerCase()) ? [line] : [];
    };
    if (query.get("follow") !== "true") {
      const lines = Array.from({ length: 2000 }, (_, index) => index + 1).flatMap(fits);
      return answer(response, { lines: lines.slice(-Number(query.get("limit") ?? 200)), first: 1, next: 2000, dropped: 140 });
    }
    let sequence = Number(query.get("after") ?? 2000);
    opened(response, 250, () => {
      sequence += 1;
      for (const line of fits(sequence)) response.write(`id: ${sequence}\nevent: line\ndata: ${JSON.stringify(line)}\n\n`);
    });
  }

  async function change(request: IncomingMessage, path: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const body = text ? (JSON.parse(text) as Record<string, unknown>) : {};
    if (path === "session") {
      const inside = request.method === "POST";
      if (inside && body["token"] !== "good") return problem(response, 401, "UNAUTHENTICATED", "this token is not known (any more)");
      fake.session = { ...fake.session, loggedIn: inside, user: inside ? "jane@example.com" : null };
      return answer(response, fake.session, inside ? 200 : 204);
    }
    if (request.headers["x-csrf-token"] !== "c5rf") return problem(response, 403, "CSRF", "the request has no X-CSRF-Token, or a wrong one");
    fake.asked.push({ method: request.method ?? "", path, body });
    const [, namespace = "", name = "", action = ""] = path.split("/");
    if (query.get("dryRun") === "true") return answer(response, plan(body));
    if (action === "scale" && body["parallelism"] === 99)
      if (query.get("force") !== "true") {
        const errors = [{ field: "spec.job.parallelism", message: "belongs to argocd", manager: "argocd" }];
        return problem(response, 409, "FIELD_OWNED", "spec.job.parallelism belongs to argocd: change it there, or ask with force=true", errors);
      }
    const kinds: Record<string, Operation["kind"]> = { savepoints: "Savepoint", stop: "Stop", upgrade: "Upgrade", suspend: "Suspend", resume: "Resume", scale: "Scale", cancel: "Cancel", restart: "Restart", restore: "Restore", snapshots: request.method === "DELETE" ? "DeleteSnapshot" : "VerifySnapshot" };
    const operation: Operation = {
      id: `op-${operations.size + 1}`, kind: kinds[action] ?? "Savepoint", job: { namespace, name }, state: "Pending", progress: { share: null, step: "" },
      startedAt: new Date(clock()).toISOString(), endedAt: null, error: null, result: null,
    };
    operations.set(operation.id, { operation, looks: 0 });
    answer(response, operation, 202);
  }

  function plan(body: Record<string, unknown>): UpgradePlan {
    const wider = Number(body["parallelism"] ?? 8);
    return {
      accepted: wider <= 128, actions: wider <= 128 ? ["Preflight", "Savepoint", "Start as revision 5"] : [], restoreFrom: "a new savepoint", taskManagers: Math.ceil(wider / 4),
      changes: Object.entries(body).map(([field, value]) => ({ field, kind: "Upgrade", old: field === "parallelism" ? "8" : null, new: JSON.stringify(value) })),
      state: [
        moves("join rates", "rates-join", 412_000_000, 8, wider), moves("revenue per shop", "revenue", 1_204_000_000, 8, wider),
        { operator: "dedupe", uid: "dedupe-v2", outcome: "New", text: "begins empty", rows: null, bytes: null, subtasksBefore: null, subtasksAfter: wider, states: [] },
        { operator: "dedupe", uid: "dedupe", outcome: "Dropped", text: "it would be left behind", rows: 90_100, bytes: 88_000_000, subtasksBefore: 8, subtasksAfter: null, states: [] },
      ],
      problems: wider <= 128 ? [] : ["The parallelism is above maxParallelism (128)."], notes: ["The new image is tried before the job is stopped."],
    };
  }
  return fake;
}
