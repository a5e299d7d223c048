import type { AddressDispute } from "#core/feed/address-dispute.ts";
import { disputeToWire } from "./dispute-wire.ts";
import { NodeFeed } from "./gen/rolecall/v1/node_feed_pb.ts";
import { Code } from "./grpc-code.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import type { Link } from "./link.ts";
import { errorFromStatus } from "./status.ts";

const REPORT_MS = 2_000;

/**
 * Tells the server whose feed is followed of a dispute; nobody while there is none, and no server a second time that
 * takes no reports.
 *
 * @param followed the connection to it
 * @returns a function that throws {AppError} when the server did not take it.
 */
export function disputeReporter(node: string, followed: () => Link | undefined) {
  const deaf = new WeakSet<Link>();

  return async (dispute: AddressDispute, caller: AbortSignal): Promise<void> => {
    const link = followed();
    if (link === undefined || deaf.has(link)) return;
    const signal = AbortSignal.any([caller, link.gone]);
    try {
      const report = disputeToWire(node, dispute);
      await link.unary(NodeFeed.method.report, report, { signal, timeoutMs: REPORT_MS });
    } catch (error) {
      if (error instanceof GrpcFailure && error.code === Code.Unimplemented) deaf.add(link);
      throw errorFromStatus(error);
    }
  };
}
