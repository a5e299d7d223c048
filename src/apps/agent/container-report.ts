import type { Log } from "#runtime/log.ts";
import type { Metrics } from "#runtime/metrics.ts";
import type { ContainerAnsweredEvent } from "./container-endpoint.ts";

/** Tells of one answer of the container credentials endpoint. */
export function reportContainerAnswer(
  log: Log,
  metrics: Metrics,
  { method, address, pod, status, ms, error }: ContainerAnsweredEvent,
): void {
  log.say(status < 400 ? "request_processed" : "request_failed", {
    method,
    path: "/v1/credentials",
    addr: address,
    status,
    duration: Math.round(ms),
    ...(pod === undefined ? {} : { pod: `${pod.namespace}/${pod.name}` }),
    ...(error === undefined ? {} : { error }),
  });
  metrics.add("rolecall_container_responses_total", {
    code: String(status),
    reason: error?.code ?? "",
  });
  if (error === undefined) {
    metrics.observe("rolecall_container_latency_seconds", {}, ms / 1_000);
  }
}
