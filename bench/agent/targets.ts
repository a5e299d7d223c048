import type { Target } from "../row.ts";

const value = (bound: Target["bound"], limit: number): Target => ({ of: "value", bound, limit });
const ratio = (bound: Target["bound"], limit: number): Target => ({ of: "ratio", bound, limit });

/**
 * What the agent is to reach. Ratios are to the bare `node:http` responder unless the row says otherwise; those of
 * `container` to its own answers to IMDSv1.
 */
export const TARGETS: Readonly<Record<string, Target>> = {
  "keep-alive.v1.rate": ratio("at least", 0.8),
  "keep-alive.v2.rate": ratio("at least", 0.8),
  "keep-alive.v1.cpu": ratio("at most", 1.25),
  "keep-alive.v2.cpu": ratio("at most", 1.25),
  "connect.v1.rate": ratio("at least", 0.9),
  "connect.v2.rate": ratio("at least", 0.9),
  "connect.v1.cpu": ratio("at most", 1.15),
  "connect.v2.cpu": ratio("at most", 1.15),
  "fixed-rate.v1.p50": ratio("at most", 1.3),
  "fixed-rate.v2.p50": ratio("at most", 1.3),
  "fixed-rate.v1.p99": ratio("at most", 1.5),
  "fixed-rate.v2.p99": ratio("at most", 1.5),
  "container.seen.cpu": ratio("at most", 1.4),
  "container.first.cpu": value("at most", 400),
  "changes.p99": ratio("at most", 1.5),
  "start.ready": value("at most", 250),
  "memory.idle": value("at most", 70),
  "memory.loaded": value("at most", 105),
  "memory.loaded-to-floor": ratio("at most", 1.5),
  "memory.long": ratio("at most", 1.1),
  "bundle.size": value("at most", 1_000_000),
};
