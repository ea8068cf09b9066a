/* What has happened to the jobs of the fake service: checkpoints, failures, log lines, series. */
import type {
  Checkpoint, CheckpointDetail, Checkpoints, Configuration, Exceptions, Graph, LogLine, Metrics, Plan, Snapshots,
} from "../../src/service/types.ts";
import { numbers, tasksOf } from "./graphs.ts";

const iso = (ms: number): string => new Date(ms).toISOString();

export function checkpoints(now: number): Checkpoints {
  const next = numbers(3);
  const history: Checkpoint[] = [];
  for (let index = 0; index < 60; index += 1) {
    const id = 412 - index;
    const failed = index === 9 || index === 10;
    const aborted = index === 31;
    const going = index === 0;
    const alignment = 60 + next() * 180 + (index < 20 ? 300 : 0);
    const sync = 4 + next() * 9;
    const rest = 120 + next() * 160;
    const store = 22 + next() * 14;
    const duration = going ? 340 : failed ? 2600 : alignment + sync + rest + store + 30 + next() * 40;
    const savepoint = index === 24;
    const began = now - 1200 - index * 10_000;
    history.push({
      id, kind: savepoint ? "Savepoint" : "Checkpoint", status: going ? "Running" : failed ? "Failed" : aborted ? "Aborted" : "Completed",
      triggeredAt: iso(began), endedAt: going ? null : iso(began + duration), durationMs: duration, alignmentMs: going ? 310 : alignment,
      syncMs: sync, asyncMs: going ? 0 : rest, acknowledgeMs: going ? null : duration - store, storeMs: going || failed ? null : store,
      bytes: Math.round(1.5e9 + next() * 2e8), inFlightBytes: index % 7 === 3 ? 3_400_000 : 0, tasks: 38, acknowledged: going ? 22 : failed ? 37 : 38,
      unaligned: index % 7 === 3, savepoint: savepoint ? "before-upgrade" : null, path: `s3://flows/orders/checkpoints/chk-${id}`,
      reason: failed ? "subtask 5 of enrich with rates has not acknowledged within 2.5 s" : aborted ? "the job restarted" : null, attempt: 3,
    });
  }
  return {
    enabled: true, triggered: 412, completed: 406, failed: 4, aborted: 1, underWay: 1, failedInARow: 0, nextAt: iso(now + 8000), restored: 388,
    durationMs: { count: 406, least: 190, mean: 486, p95: 820, most: 1210 }, bytes: { count: 406, least: 1.1e9, mean: 1.6e9, p95: 1.7e9, most: 1.72e9 },
    history,
  };
}

export function checkpoint(graph: Graph, one: Checkpoint): CheckpointDetail {
  const vertices = graph.vertices.map((vertex) => {
    const next = numbers(vertex.id + one.id);
    const subtasks = tasksOf(graph, vertex.id).tasks.map((task) => ({
      subtask: task.subtask, acknowledgedMs: one.status === "Running" && vertex.id > 2 ? null : 60 + next() * (one.durationMs - 80) * (vertex.id === 2 ? 1 : 0.6),
      alignmentMs: next() * one.alignmentMs, syncMs: next() * one.syncMs, asyncMs: next() * one.asyncMs, bytes: task.figures.stateBytes ?? 1200,
      inFlightBytes: one.inFlightBytes ? Math.round(next() * 40_000) : 0,
    }));
    const most = (pick: (row: (typeof subtasks)[number]) => number | null): number => Math.max(0, ...subtasks.map((row) => pick(row) ?? 0));
    return {
      vertex: vertex.id, name: vertex.name, tasks: subtasks.length, acknowledged: subtasks.filter((row) => row.acknowledgedMs !== null).length,
      acknowledgedMs: most((row) => row.acknowledgedMs) || null, alignmentMs: most((row) => row.alignmentMs), syncMs: most((row) => row.syncMs),
      asyncMs: most((row) => row.asyncMs), bytes: subtasks.reduce((sum, row) => sum + row.bytes, 0), inFlightBytes: 0, subtasks,
    };
  });
  return { checkpoint: one, vertices };
}

export function snapshots(now: number): Snapshots {
  const common = { checksum: "5f0c", error: null, phase: "Completed" as const, newest: false, inUse: false };
  return {
    more: false,
    snapshots: [
      { ...common, type: "Checkpoint", id: 411, path: "s3://flows/orders/checkpoints/chk-411", name: null, completedAt: iso(now - 11_000), bytes: 1.62e9, newest: true, inUse: true },
      { ...common, type: "Checkpoint", id: 410, path: "s3://flows/orders/checkpoints/chk-410", name: null, completedAt: iso(now - 21_000), bytes: 1.61e9 },
      { ...common, type: "Savepoint", id: 388, path: "s3://flows/orders/savepoints/before-upgrade", name: "before-upgrade", completedAt: iso(now - 240_000), bytes: 1.58e9 },
      { ...common, type: "Savepoint", id: 211, path: "s3://flows/orders/savepoints/monday", name: "monday", completedAt: iso(now - 2e8), bytes: 1.21e9, inUse: true },
      { ...common, type: "Savepoint", id: 0, path: "", name: "friday", completedAt: "", bytes: null, phase: "Failed", error: "The storage refused: the bucket is full." },
    ],
  };
}

const TRACEBACK = `Traceback (most recent call last):
  File "orders.py", line 88, in to_euros
    return row.amount / rates[row.currency]
           ~~~~~~~~~~~^~~~~~~~~~~~~~~~~~~~~
ZeroDivisionError: float division by zero`;

export function exceptions(now: number): Exceptions {
  const common = { attempt: 2, slot: 1, taskManager: "orders-taskmanager-1", message: "" };
  return {
    dropped: 0,
    exceptions: [
      { ...common, sequence: 3, at: iso(now - 5_400_000), kind: "User", code: "USER_CODE", text: "ZeroDivisionError: float division by zero", traceback: TRACEBACK,
        operator: "to euros", vertex: 2, subtask: 5, row: "{'order': 88123, 'currency': 'XTS', 'amount': 12.5}", result: "Restarted" },
      { ...common, sequence: 2, at: iso(now - 5_400_020), kind: "Lost", code: "CONNECTION", text: "The connection to slot 10.0.3.21:40121 was closed", traceback: "",
        operator: "write to warehouse", vertex: 5, subtask: 0, row: null, result: "Symptom" },
      { ...common, sequence: 1, at: iso(now - 9_000_000), kind: "Lost", code: "TASKMANAGER_LOST", text: "TaskManager orders-taskmanager-0 has not been heard of for 10 s", traceback: "",
        operator: null, vertex: null, subtask: null, row: null, attempt: 1, taskManager: "orders-taskmanager-0", slot: null, result: "Restarted" },
    ],
  };
}

const SAID: [LogLine["level"], LogLine["source"], string][] = [
  ["INFO", "JobManager", "checkpoint 411 is complete: 1.62 GB in 486 ms"], ["INFO", "Slot", "read 4096 rows of partition 7"],
  ["WARNING", "Slot", "no rate for currency XTS: the row is passed on as it is"], ["INFO", "TaskManager", "slot 2 answers"],
  ["DEBUG", "Slot", "flushed 64 kB to the warehouse"], ["INFO", "Slot", "shop 441: 1,204 orders in the window"],
  ["ERROR", "Slot", "could not reach rates.example:443, trying again in 2 s"],
];

export function logLine(sequence: number, at: number): LogLine {
  const [level, source, message] = SAID[sequence % SAID.length]!;
  const slot = source === "Slot";
  return {
    sequence, at: iso(at), level, logger: slot ? "orders" : "flowjob", message: `${message}`, source, stream: slot && sequence % 3 === 0 ? "stdout" : "log",
    taskManager: source === "JobManager" ? null : `orders-taskmanager-${sequence % 2}`, slot: slot ? sequence % 4 : null, vertex: slot ? sequence % 6 : null,
    operator: slot ? ["read orders", "read rates", "join rates", "revenue per shop", "large orders", "write to warehouse"][sequence % 6]! : null,
    subtask: slot ? sequence % 8 : null, attempt: slot ? 3 : null, checkpoint: source === "JobManager" ? 411 : null, traceback: level === "ERROR" ? TRACEBACK : "",
  };
}

export function metrics(now: number, window: string, vertex: number | null): Metrics {
  const step = window === "1h" ? 60 : 5;
  const length = window === "1h" ? 60 : 120;
  const next = numbers(vertex === null ? 5 : vertex + 50);
  const timesMs = Array.from({ length }, (_, index) => now - (length - index) * step * 1000);
  const series = (name: string, unit: string, middle: number, wave: number) => ({
    name, unit, vertex, values: timesMs.map((_, index) => (index === 40 ? null : Math.max(0, middle + Math.sin(index / 9) * wave + (next() - 0.5) * wave * 0.5))),
  });
  return {
    stepSeconds: step, timesMs,
    series: [
      series("rowsIn", "rows/s", 182_000, 9000), series("rowsOut", "rows/s", 1336, 120), series("bytesIn", "bytes/s", 16e6, 1e6), series("bytesOut", "bytes/s", 15e6, 1e6),
      series("busy", "share", 0.34, 0.04), series("idle", "share", 0.5, 0.05), series("backpressured", "share", 0.16, 0.03), series("busiest", "share", 0.93, 0.05),
      series("lag", "s", 62, 12), series("stateBytes", "bytes", 1.6e9, 3e7), ...(vertex === null ? [series("checkpointSeconds", "s", 0.5, 0.12)] : []),
    ],
  };
}

export const CONFIGURATION: Configuration = {
  sections: {
    job: { name: "orders", parallelism: 8, maxParallelism: 128, entrypoint: "orders:job" },
    checkpoints: { interval: "10s", mode: "aligned", timeout: "10m", retained: 3, storage: "s3://flows/orders", tolerableFailures: 2 },
    restarts: { strategy: "exponential", first: "1s", most: "60s" },
    arguments: { topic: "orders", window: "5m", warehousePassword: "[redacted]" },
  },
};

export const PLAN: Plan = {
  digest: "9f0c31aa77d2b460", parallelism: 8, maxParallelism: 128,
  text: `[0] read orders from topic  x8   source, parse
 └─ hash(currency)
[2] enrich with rates  x8   join rates, to euros
 ├─ hash(shop)
[3] revenue per shop, 5 min windows  x8
 └─ forward
[4] large orders  x8
[5] write to warehouse  x4   sink`,
};
