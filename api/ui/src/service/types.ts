/* The service's answers, by short names. They are generated from its OpenAPI: `make ui-types`. */
import type { components } from "./openapi.ts";

type Schemas = components["schemas"];

export type JobSummary = Schemas["JobSummary"];
export type JobList = Schemas["JobList"];
export type Job = Schemas["Job"];
export type State = JobSummary["state"];
export type Action = Job["actions"][number];
export type Graph = Schemas["Graph"];
export type Vertex = Schemas["VertexFacts"];
export type Edge = Schemas["EdgeFacts"];
export type Figures = Schemas["Figures"];
export type Tasks = Schemas["Tasks"];
export type Task = Schemas["TaskFacts"];
export type TaskState = Task["state"];
export type Checkpoints = Schemas["Checkpoints"];
export type Checkpoint = Schemas["CheckpointFacts"];
export type CheckpointDetail = Schemas["CheckpointDetail"];
export type CheckpointVertex = Schemas["CheckpointVertex"];
export type Snapshots = Schemas["Snapshots"];
export type Snapshot = Schemas["SnapshotFacts"];
export type Exceptions = Schemas["Exceptions"];
export type Failure = Schemas["ExceptionFacts"];
export type Logs = Schemas["Logs"];
export type LogLine = Schemas["LogLine"];
export type Level = LogLine["level"];
export type Change = Schemas["Change"];
export type Configuration = Schemas["Configuration"];
export type Plan = Schemas["Plan"];
export type Metrics = Schemas["Metrics"];
export type Series = Schemas["Series"];
export type Operation = Schemas["Operation"];
export type OperationKind = Operation["kind"];
export type UpgradeWish = Schemas["UpgradeWish"];
export type UpgradePlan = Schemas["UpgradePlan"];
export type Session = Schemas["Session"];
export type Problem = Schemas["Problem"];

export interface JobRef {
  namespace: string;
  name: string;
}
