import { AppError } from "#core/errors.ts";
import { reasonOfDispute } from "#core/feed/address-dispute.ts";
import type { EventWindow } from "#core/pod/event-window.ts";
import type { RefusalCode } from "#core/policy/grant.ts";
import type { PodEvent } from "#edges/kubernetes/events.ts";
import type { ServiceEvent } from "./service.ts";

const WAITING_MAX = 256;
const QUIET: ReadonlySet<RefusalCode> = new Set(["no_role", "namespace_unknown"]);

/** What became of an event that should have been written. */
export type PodEventFate = "written" | "dropped" | "failed";

export interface PodEventsOptions {
  readonly window: EventWindow;
  readonly write: (event: PodEvent, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly observe: (fate: PodEventFate, error?: unknown) => void;
}

/**
 * Tells a pod's owners why it gets nothing, as Kubernetes events, with Kiam's reasons and words where it has them:
 * once per pod and reason in a window, one at a time, and never more waiting than `WAITING_MAX`.
 */
export function podEvents({ window, write, signal, observe }: PodEventsOptions) {
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();

  return (event: ServiceEvent): void => {
    const wanted = eventOf(event);
    if (wanted === undefined || !window.admits(wanted.pod.uid, wanted.reason)) return;
    if (waiting >= WAITING_MAX) {
      observe("dropped");
      return;
    }
    waiting += 1;
    const before = last;
    const tell = async (): Promise<void> => {
      await before;
      try {
        await write(wanted, signal);
        observe("written");
      } catch (error) {
        if (!signal.aborted) observe("failed", AppError.from(error));
      } finally {
        waiting -= 1;
      }
    };
    last = tell();
  };
}

/** Kiam's reasons and messages where it has them (specification §4.6); undefined for what is worth no event. */
function eventOf(event: ServiceEvent): PodEvent | undefined {
  switch (event.type) {
    case "role_found":
      return undefined;
    case "refused":
      // Neither a pod that names no role nor a namespace that is not seen yet is a matter for its owner.
      return QUIET.has(event.refusal.code)
        ? undefined
        : {
            pod: event.pod,
            type: "Warning",
            reason: "KiamRoleForbidden",
            message: `failed assuming role ${JSON.stringify(event.requested)}: ${event.refusal.reason}`,
          };
    case "session_failed":
      // What passes by itself is the operator's concern, not the pod owner's.
      return event.error.code.startsWith("sts_")
        ? {
            pod: event.pod,
            type: "Warning",
            reason: "KiamCredentialError",
            message: `failed retrieving credentials: ${event.error.message}`,
          }
        : undefined;
    case "address_disputed":
      return event.pod.role === undefined
        ? undefined
        : {
            pod: event.pod,
            type: "Warning",
            reason: "RolecallAddressDisputed",
            message: `refusing requests by address: ${reasonOfDispute(event.dispute)}`,
          };
  }
}
