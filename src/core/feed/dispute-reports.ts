import type { Clock } from "../clock.ts";
import { EventWindow } from "../pod/event-window.ts";
import type { AddressDispute } from "./address-dispute.ts";

export interface DisputeReportsOptions {
  /** Whether it is one still, as far as is known. */
  readonly stands: (dispute: AddressDispute) => boolean;
  /** Tells a server. */
  readonly send: (dispute: AddressDispute, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Longer than a request is held: what passes by itself meanwhile is nothing that a pod's owner should know. */
const OUTLASTS_MS = 1_000;
const WAITING_MAX = 32;
const WINDOW_MS = 300_000;
const ADDRESSES_MAX = 1_024;

/**
 * What an agent tells a server of disputes, which tells the pods' owners: each address once in a window, when the
 * dispute has outlasted the requests that met it. What can't be told is dropped, since it is counted and logged
 * on the node; whoever asks for credentials waits for none of this.
 */
export function disputeReports({ stands, send, clock, signal }: DisputeReportsOptions) {
  const window = new EventWindow({ clock, windowMs: WINDOW_MS, entriesMax: ADDRESSES_MAX });
  let waiting = 0;

  const report = async (dispute: AddressDispute): Promise<void> => {
    await clock.sleep(OUTLASTS_MS, signal);
    if (stands(dispute) && window.admits(dispute.address, "disputed")) await send(dispute, signal);
  };
  return (dispute: AddressDispute): void => {
    if (waiting >= WAITING_MAX) return;
    waiting += 1;
    report(dispute)
      .catch(() => undefined)
      .finally(() => (waiting -= 1));
  };
}
