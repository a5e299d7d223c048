import type { Clock } from "#core/clock.ts";
import type { CallEvent } from "#edges/rpc/rpc-event.ts";
import type { RpcMethod } from "#edges/rpc/status.ts";
import type { TlsFilesEvent } from "#edges/rpc/tls-files.ts";
import type { Log } from "#runtime/log.ts";
import type { Metrics } from "#runtime/metrics.ts";

/** Which end of the calls a process is. */
export type RpcSide = "client" | "server";

export interface RpcReport {
  readonly side: RpcSide;
  readonly log: Log;
  readonly metrics: Metrics;
}

const KIAM = { grpc_type: "unary", grpc_service: "kiam.KiamService" };
const FEED = "rolecall.v1.NodeFeed";
const KIND_OF_CALL = {
  GetPodRole: KIAM,
  GetPodCredentials: KIAM,
  GetHealth: KIAM,
  Follow: { grpc_type: "server_stream", grpc_service: FEED },
  Report: { grpc_type: "unary", grpc_service: FEED },
} as const satisfies Record<RpcMethod, object>;

/** Counts a call as Kiam's gRPC library does, and logs one that failed. */
export function reportCall({ side, log, metrics }: RpcReport, event: CallEvent): void {
  const labels = { ...KIND_OF_CALL[event.method], grpc_method: event.method };
  switch (event.type) {
    case "call_started":
      metrics.add(`grpc_${side}_started_total`, labels);
      break;
    case "message_sent":
      metrics.add(`grpc_${side}_msg_sent_total`, labels);
      break;
    case "message_received":
      metrics.add(`grpc_${side}_msg_received_total`, labels);
      break;
    case "call_handled":
      metrics.add(`grpc_${side}_handled_total`, { ...labels, grpc_code: event.code });
      if (event.error?.code === "internal") log.say("unexpected_error", { error: event.error });
      break;
  }
}

const DAY_MS = 86_400_000;
/** How far ahead an ending certificate is told of; again each time the remaining time passes one. */
const WARN_AHEAD_DAYS = [30, 14, 7, 1];
const LOOK_EVERY_MS = 3_600_000;

/** Tells of certificate files as they are loaded, and keeps their gauges. */
export function reportTls({ side, log, metrics }: RpcReport, event: TlsFilesEvent): void {
  switch (event.type) {
    case "tls_loaded":
      metrics.set(`grpc_${side}_tls_certificate_update_error`, {}, 0);
      metrics.set(`grpc_${side}_tls_certificate_expiry_seconds`, {}, event.expiresAt / 1_000);
      metrics.set(
        `grpc_${side}_tls_certificate_verify_error`,
        {},
        event.problem === undefined ? 0 : 1,
      );
      if (event.problem !== undefined) log.say("tls_verify_failed", { reason: event.problem });
      if (event.isUpdate) {
        log.say("tls_reloaded", { expires: new Date(event.expiresAt).toISOString() });
      }
      break;
    case "tls_update_failed":
      metrics.set(`grpc_${side}_tls_certificate_update_error`, {}, 1);
      log.say("tls_update_failed", { error: event.error });
      break;
  }
}

/**
 * Looks once an hour at how long the certificate still lives, and warns when the remaining time has
 * passed another of `WARN_AHEAD_DAYS`. Ends only by the signal's reason.
 */
export async function warnOfExpiry(
  { log }: RpcReport,
  expiresAt: () => number,
  clock: Clock,
  signal: AbortSignal,
): Promise<never> {
  let warned = Number.POSITIVE_INFINITY;
  let warnedFor = 0;
  for (;;) {
    const ends = expiresAt();
    if (ends !== warnedFor) warned = Number.POSITIVE_INFINITY;
    const days = (ends - clock.now()) / DAY_MS;
    const passed = WARN_AHEAD_DAYS.filter((ahead) => days <= ahead).at(-1);
    if (passed !== undefined && passed < warned) {
      log.say("tls_expiring", { expires: new Date(ends).toISOString(), days: Math.floor(days) });
      warned = passed;
      warnedFor = ends;
    }
    await clock.sleep(LOOK_EVERY_MS, signal);
  }
}
