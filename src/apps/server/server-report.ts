import { reasonOfDispute } from "#core/feed/address-dispute.ts";
import type { NodeFeedEvent } from "#core/feed/node-feed.ts";
import type { FollowEvent } from "#core/watch/follow.ts";
import type { Pod } from "#core/pod/pod.ts";
import type { IssuerEvent } from "#core/token/follow-issuer.ts";
import type { SessionEvent } from "#core/session/sessions.ts";
import type { ListWatchEvent } from "#edges/kubernetes/list-watch.ts";
import type { CallEvent, KiamServerEvent } from "#edges/rpc/rpc-event.ts";
import type { TlsFilesEvent } from "#edges/rpc/tls-files.ts";
import type { Log } from "#runtime/log.ts";
import type { Metrics } from "#runtime/metrics.ts";
import { reportCall, reportTls } from "../reporting/rpc-report.ts";
import type { PodEventFate } from "./pod-events.ts";
import type { ServiceEvent } from "./service.ts";

/** The collections that the server follows. */
export type Resource = "pods" | "namespaces";

/** What happens to the streams of node feeds; what they say of pods is told as a request would be. */
export type FeedEvent = Exclude<NodeFeedEvent, { readonly pod: Pod }>;

/** Turns what the parts of the server observe into log lines and metrics; each fact in one place. */
export function serverReport(log: Log, metrics: Metrics) {
  const rpc = { side: "server", log, metrics } as const;
  return {
    tls: (event: TlsFilesEvent) => reportTls(rpc, event),
    rpc: (event: KiamServerEvent) =>
      reportRpc(log, metrics, event, (call) => reportCall(rpc, call)),
    listWatch: (event: ListWatchEvent) => reportListWatch(log, metrics, event),
    follow: (resource: Resource, event: FollowEvent) => {
      if (event.type !== "broke") return;
      metrics.add("rolecall_watch_breaks_total", { resource });
      log.say("watch_broke", { resource, error: event.error, pauseMs: event.pauseMs });
    },
    changed: (resource: Resource, now: number) =>
      metrics.set("rolecall_watch_last_event_seconds", { resource }, now / 1_000),
    issuer: (event: IssuerEvent) => {
      if (event.type === "failed") log.say("issuer_failed", { error: event.error });
      else
        log.say("issuer_changed", { issuer: event.issuer.issuer, count: event.issuer.keys.length });
    },
    session: (event: SessionEvent) => reportSession(log, metrics, event),
    service: (event: ServiceEvent) => reportService(log, metrics, event),
    feed: (event: FeedEvent) => reportFeed(log, metrics, event),
    podEvent: (fate: PodEventFate, error?: unknown) => {
      if (fate === "dropped") metrics.add("rolecall_events_dropped_total", {});
      if (fate === "failed") log.say("kubernetes_event_failed", { error });
    },
  };
}

function reportRpc(
  log: Log,
  metrics: Metrics,
  event: KiamServerEvent,
  count: (call: CallEvent) => void,
): void {
  switch (event.type) {
    case "listening":
      log.say("listening", { host: event.host, port: event.port });
      break;
    case "handshake_refused":
      metrics.add("rolecall_tls_handshakes_refused_total", {});
      log.say("rpc_handshake_refused", { peer: event.peer, reason: event.reason });
      break;
    case "connection_broken":
      log.say("rpc_handshake_refused", { peer: event.peer, reason: event.reason });
      break;
    case "connection_opened":
    case "connection_closed":
      break;
    default:
      count(event);
  }
}

function reportListWatch(log: Log, metrics: Metrics, event: ListWatchEvent): void {
  const { resource } = event;
  switch (event.type) {
    case "listed":
      log.say("watch_synced", { resource, count: event.items, ms: event.milliseconds });
      break;
    case "skipped":
      metrics.add("rolecall_watch_objects_skipped_total", { resource });
      log.say("watch_object_skipped", { resource, reason: event.why });
      break;
    case "watching":
    case "relist":
      break;
  }
}

function reportSession(log: Log, metrics: Metrics, event: SessionEvent): void {
  switch (event.type) {
    case "hit":
      metrics.add("kiam_sts_cache_hit_total", {});
      break;
    case "miss":
      metrics.add("kiam_sts_cache_miss_total", {});
      break;
    case "asking":
      break;
    case "issued":
      metrics.observe("kiam_sts_assumerole_timing_seconds", {}, event.ms / 1_000);
      log.say(event.isRenewal ? "credentials_renewed" : "credentials_requested", {
        role: event.identity.role,
        sessionName: event.identity.sessionName,
        accessKeyId: event.credentials.accessKeyId,
        expires: new Date(event.credentials.expiresAt).toISOString(),
        ms: event.ms,
      });
      break;
    case "failed":
      metrics.add("kiam_sts_issuing_errors_total", {});
      metrics.observe("kiam_sts_assumerole_timing_seconds", {}, event.ms / 1_000);
      log.say(event.isHeld ? "credentials_held" : "credentials_failed", {
        role: event.identity.role,
        error: event.error,
      });
      break;
    case "dropped":
      log.say("session_dropped", { role: event.identity.role });
      break;
    case "prefetch_dropped":
      metrics.add("kiam_k8s_dropped_pods_total", {});
      log.say("prefetch_dropped", { role: event.identity.role });
      break;
  }
}

function reportFeed(log: Log, metrics: Metrics, event: FeedEvent): void {
  const { node } = event;
  switch (event.type) {
    case "followed":
      metrics.add("rolecall_feed_streams_total", { from: event.from });
      log.say("feed_followed", { node, from: event.from });
      break;
    case "resynced":
      metrics.add("rolecall_feed_resyncs_total", {});
      log.say("feed_resynced", { node });
      break;
    case "left":
      log.say("feed_left", { node });
      break;
  }
}

function reportService(log: Log, metrics: Metrics, event: ServiceEvent): void {
  const pod = { namespace: event.pod.namespace, pod: event.pod.name };
  switch (event.type) {
    case "role_found":
      log.say("role_found", { ...pod, role: event.pod.role });
      break;
    case "refused":
      metrics.add("rolecall_refusals_total", { code: event.refusal.code });
      log.say("pod_denied", {
        ...pod,
        requested: event.requested,
        code: event.refusal.code,
        reason: event.refusal.reason,
      });
      break;
    case "session_failed":
      metrics.add("rolecall_refusals_total", { code: event.error.code });
      break;
    case "address_disputed":
      log.say("address_disputed", {
        ...pod,
        addr: event.dispute.address,
        reason: reasonOfDispute(event.dispute),
      });
      break;
  }
}
