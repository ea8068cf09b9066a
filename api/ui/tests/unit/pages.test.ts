import { describe, expect, test } from "vitest";
import { ACTIONS, settings, wish, type Answers } from "../../src/actions/actions.ts";
import { ceiling, phases } from "../../src/checkpoints/phases.ts";
import { asText, joined, where } from "../../src/logs/lines.ts";
import { charts, summary } from "../../src/metrics/charts.ts";
import { refusal, sentence, ServiceError } from "../../src/service/client.ts";
import { told } from "../../src/service/operations.svelte.ts";
import type { Job, Operation } from "../../src/service/types.ts";
import { parsed, toJob, toJobs } from "../../src/shell/router.svelte.ts";
import * as past from "../fake/histories.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");

describe("addresses", () => {
  test.each([
    ["#/jobs/shop/orders/logs?vertex=2", { page: "job", job: { namespace: "shop", name: "orders" }, tab: "logs" }],
    ["#/jobs/shop/orders", { page: "job", tab: "graph" }], ["#/jobs/shop/orders/nonsense", { page: "job", tab: "graph" }],
    ["", { page: "jobs" }], ["#/jobs/shop", { page: "jobs" }], ["#/elsewhere/a/b", { page: "jobs" }], ["#/jobs/%E0%A4%A/x", { page: "job" }],
  ])("%s leads somewhere", (hash, place) => expect(parsed(hash)).toMatchObject(place));
  test("what is linked is found again, whatever the name", () => {
    const job = { namespace: "a b", name: "ü/?#&" };
    const place = parsed(toJob(job, "metrics", { vertex: "1", window: "" }));
    expect(place).toMatchObject({ page: "job", job, tab: "metrics" });
    expect([...place.query]).toEqual([["vertex", "1"]]);
    expect(parsed(toJobs({ q: "a&b" })).query.get("q")).toBe("a&b");
  });
});

describe("refusals are one sentence", () => {
  const problem = (body: unknown, status = 409, headers = {}) => refusal(new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/problem+json", ...headers } }));
  test("of the service's own words", async () => {
    const error = await problem({ detail: "the job is not running", code: "NOT_NOW", errors: [] });
    expect([sentence(error), error.code, error.retryAfterSeconds]).toEqual(["The job is not running.", "NOT_NOW", null]);
  });
  test("with when to come again, once", async () => {
    const later = { "Retry-After": "3" };
    expect(sentence(await problem({ detail: "too many of this kind." }, 429, later))).toBe("Too many of this kind: try again in 3 s.");
    expect(sentence(await problem({ detail: "too many: wait 3 s" }, 429, later))).toBe("Too many: wait 3 s.");
  });
  test("or of its title", async () => expect(sentence(await problem({ title: "Conflict" }))).toBe("Conflict."));
  test("also from a proxy that knows no JSON", async () =>
    expect(sentence(await refusal(new Response("<html>", { status: 502, statusText: "Bad Gateway" })))).toBe("The service refused with status 502 Bad Gateway."));
  test("also of JSON that was cut short", async () =>
    expect((await refusal(new Response("{", { status: 500, headers: { "Content-Type": "application/json" } }))).message).toContain("500"));
  test("whatever was thrown", () => expect([sentence("no"), sentence(new Error("why?"))]).toEqual(["No.", "Why?"]));
  test.each([[0, true], [503, true], [404, false], [409, false]])("status %d means lost: %s", (status, lost) => expect(new ServiceError(status, "", "").lost).toBe(lost));
});

describe("requests", () => {
  const answers: Answers = { name: "", drain: false, timeout: "", parallelism: 8, reason: "", typed: "" };
  const job = { parallelism: 8 } as Job;
  test("say only what was said", () => expect(wish("savepoint", answers, job)).toEqual({}));
  test("carry what was said", () => expect(wish("stop", { ...answers, name: "n", drain: true, timeout: "5m" }, job)).toEqual({ name: "n", drain: true, timeout: "5m" }));
  test("to scale always name the parallelism, to resume only another one", () => {
    expect(wish("scale", answers, job)).toEqual({ parallelism: 8 });
    expect([wish("resume", answers, job), wish("resume", { ...answers, parallelism: 4 }, job)]).toEqual([{}, { parallelism: 4 }]);
  });
  test("that end a job for good need its name", () => expect(Object.values(ACTIONS).filter((one) => one.typed).map((one) => one.path)).toEqual(["cancel"]));
  test("have settings as lines", () => expect(settings(" window = 5m \n\n retries=3\n-old\n url=a=b\n zero=007")).toEqual({ window: "5m", retries: 3, old: null, url: "a=b", zero: "007" }));
  test("have no settings when there are none", () => expect(settings(" \n ")).toBeNull());
  test("name the line that is no setting", () => expect(() => settings("window 5m")).toThrow("“window 5m” is neither name=value nor -name"));
});

describe("checkpoints", () => {
  test("phases add up to the duration, whatever was measured", () => {
    for (const one of past.checkpoints(NOW).history) {
      const parts = phases(one);
      expect(parts.reduce((sum, part) => sum + part.ms, 0)).toBeCloseTo(one.durationMs, 6);
      expect(parts.every((part) => part.ms > 0)).toBe(true);
    }
  });
  test("phases of the slowest subtasks are cut at the whole", () => {
    const [one] = past.checkpoints(NOW).history;
    expect(phases({ ...one!, durationMs: 100, alignmentMs: 90, syncMs: 50, asyncMs: 70, storeMs: null }).map((part) => [part.key, part.ms])).toEqual([["align", 90], ["sync", 10]]);
  });
  test.each([[[3], 5], [[486], 500], [[1210], 2000], [[10], 10], [[], 1]])("an axis for %j ends at %d", (values, top) => expect(ceiling(values)).toBe(top));
});

describe("log lines", () => {
  const line = (sequence: number) => past.logLine(sequence, NOW);
  test("are kept once, in order, and no more than so many", () => {
    expect(joined([line(1), line(2)], [line(2), line(3), line(4)], 3).map((one) => one.sequence)).toEqual([2, 3, 4]);
    expect(joined([], [line(9)]).length).toBe(1);
  });
  test("say where they come from", () => expect([where(line(1)), where({ ...line(1), operator: null }), where({ ...line(1), operator: null, taskManager: null })]).toEqual(["read rates#1", "orders-taskmanager-1/1", "Slot"]));
  test("are copied with their tracebacks", () => expect(asText({ ...line(1), traceback: "Traceback" })).toMatch(/: read 4096 rows of partition 7\nTraceback$/));
});

describe("charts", () => {
  const drawn = charts(past.metrics(NOW, "10m", null));
  test("share one axis of time, in seconds", () => {
    for (const one of drawn) for (const list of one.data) expect(list).toHaveLength(120);
    expect(drawn[0]!.data[0][1]! - drawn[0]!.data[0][0]!).toBe(5);
  });
  test("without any value are left out", () => {
    const found = past.metrics(NOW, "10m", 1);
    expect(charts(found).map((one) => one.facts.title)).not.toContain("Checkpoint duration");
    expect(charts({ ...found, series: found.series.map((one) => ({ ...one, values: one.values.map(() => null) })) })).toEqual([]);
  });
  test("say in words what they show", () => expect(summary({ ...drawn[0]!, labels: ["in"], data: [[1, 2, 3], [10, null, 30]] })).toBe("in 30, between 10 and 30"));
});

describe("operations", () => {
  const operation: Operation = { id: "1", kind: "Scale", job: { namespace: "a", name: "b" }, state: "Running", progress: { share: null, step: "waits" }, startedAt: null, endedAt: null, error: null, result: null };
  test.each([
    [{}, "Parallelism is being changed: waits"], [{ state: "Done" as const }, "Parallelism is changed"],
    [{ state: "Failed" as const, error: { code: "PLAN", message: "there are 4 slots" } }, "Parallelism: there are 4 slots"],
  ])("%j", (over, text) => expect(told({ ...operation, ...over })).toBe(text));
});
