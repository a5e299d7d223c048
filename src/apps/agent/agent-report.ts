import { type AddressDispute, reasonOfDispute } from "#core/feed/address-dispute.ts";
import type { AskedTableEvent } from "#core/feed/asked-table.ts";
import type { AnswerSource } from "#core/feed/node-table.ts";
import type { RefusalEvent } from "#edges/http/limits.ts";
import type { InterceptionEvent } from "#edges/linux/interception-rules.ts";
import type { FollowerEvent, KiamClientEvent } from "#edges/rpc/rpc-event.ts";
import type { TlsFilesEvent } from "#edges/rpc/tls-files.ts";
import type { Log } from "#runtime/log.ts";
import type { Metrics } from "#runtime/metrics.ts";
import { reportCall, reportTls } from "../reporting/rpc-report.ts";
import type { ContainerAnsweredEvent } from "./container-endpoint.ts";
import { reportContainerAnswer } from "./container-report.ts";
import { reportInterception } from "../intercept/report.ts";
import type { AnsweredEvent } from "./metadata-request.ts";

/** Turns what the parts of the agent observe into log lines and metrics. */
export function agentReport(log: Log, metrics: Metrics) {
  const rpc = { side: "client", log, metrics } as const;
  return {
    tls: (event: TlsFilesEvent) => reportTls(rpc, event),
    asked: (event: AskedTableEvent) => {
      if (event.type !== "held-served") return;
      metrics.add("rolecall_node_table_answers_total", { source: "held" });
    },
    answer: (source: AnswerSource) => metrics.add("rolecall_node_table_answers_total", { source }),
    feed: (event: FollowerEvent) => reportFeed(log, metrics, event),
    dispute: (dispute: AddressDispute) => {
      const { between, address } = dispute;
      metrics.add("rolecall_address_disputes_total", { between });
      log.say("address_disputed", { addr: address, reason: reasonOfDispute(dispute) });
    },
    refused: ({ limit }: RefusalEvent) => metrics.add("rolecall_http_refused_total", { limit }),
    answered: (event: AnsweredEvent) => reportAnswer(log, metrics, event),
    containerAnswered: (event: ContainerAnsweredEvent) =>
      reportContainerAnswer(log, metrics, event),
    interception: (event: InterceptionEvent) => countInterception(log, metrics, event),
    rpc: (event: KiamClientEvent) => {
      switch (event.type) {
        case "resolved":
          break;
        case "resolve_failed":
          log.say("server_unreachable", { host: event.host, reason: event.reason });
          break;
        case "server_reachable":
          log.say("server_reachable", { server: event.server });
          break;
        case "server_unreachable":
          log.say("server_unreachable", { server: event.server, reason: event.reason });
          break;
        default:
          reportCall(rpc, event);
          if (event.type === "call_handled" && event.error?.code === "server_unavailable") {
            metrics.add("rolecall_server_unavailable_total", {});
          }
      }
    },
  };
}

function reportFeed(log: Log, metrics: Metrics, event: FollowerEvent): void {
  switch (event.type) {
    case "feed_in_sync":
      metrics.add("rolecall_feed_moves_total", {});
      log.say("feed_in_sync", { server: event.server });
      break;
    case "feed_lost":
      metrics.add("rolecall_feed_losses_total", {});
      log.say("feed_lost", { server: event.server, reason: event.reason });
      break;
    case "feed_failed":
      log.say("feed_failed", { server: event.server, reason: event.reason });
      break;
    case "feed_draining":
      log.say("feed_draining", { server: event.server });
      break;
    case "feed_unoffered":
      log.say("feed_unoffered");
      break;
  }
}

function reportAnswer(log: Log, metrics: Metrics, event: AnsweredEvent): void {
  const { handler, method, path, address, status, ms, error } = event;
  log.say(status < 400 ? "request_processed" : "request_failed", {
    method,
    path,
    addr: address,
    status,
    duration: Math.round(ms),
    ...(error === undefined ? {} : { error }),
  });
  if (handler === undefined) return;
  metrics.add("kiam_metadata_responses_total", { handler, code: String(status) });
  if (handler !== "proxy") {
    metrics.observe("kiam_metadata_handler_latency_seconds", { handler }, ms / 1_000);
  }
  if (status === 200 && error === undefined && handler !== "health") {
    metrics.add("kiam_metadata_success_total", { handler });
  }
  if (event.isBlocked) metrics.add("kiam_metadata_proxy_requests_blocked_total", {});
  if (error === undefined) return;
  if (handler === "credentials") {
    metrics.add("kiam_metadata_credential_fetch_errors_total", { handler });
  }
  if (handler === "roleName") {
    const name =
      error.code === "no_role"
        ? "kiam_metadata_empty_role_total"
        : "kiam_metadata_find_role_errors_total";
    metrics.add(name, { handler });
  }
}

function countInterception(log: Log, metrics: Metrics, event: InterceptionEvent): void {
  if (event.type === "restored") metrics.add("rolecall_interception_repairs_total", {});
  if (event.type === "failed") metrics.add("rolecall_interception_errors_total", {});
  reportInterception(log, event);
}
