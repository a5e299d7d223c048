import type { HandlerContext } from "@connectrpc/connect";
import { AppError } from "#core/errors.ts";
import type { AddressDispute } from "#core/feed/address-dispute.ts";
import type { FeedMessage, Position } from "#core/feed/feed-messages.ts";
import { feedMessageToWire } from "./feed-wire.ts";
import type { FeedMessage as WireMessage, FollowRequest } from "./gen/rolecall/v1/node_feed_pb.ts";
import { connectError } from "./connect-error.ts";
import { Code } from "./grpc-code.ts";
import { type CallObserver, observeCall } from "./observed-call.ts";
import { errorToStatus } from "./status.ts";

/** Opens the feed of a node (`NodeFeeds.follow`). */
export type FollowNode = (
  node: string,
  held: Position | undefined,
  signal: AbortSignal,
) => AsyncIterable<FeedMessage>;

/** Takes what the agent of a node says of a dispute there (`NodeFeeds.disputed`). */
export type TakeDispute = (node: string, dispute: AddressDispute) => void;

export interface FeedServiceOptions extends CallObserver {
  readonly follow: FollowNode;
}

/**
 * Answers `rolecall.v1.NodeFeed/Follow`: each message goes out when the peer has taken the one before, so
 * that a slow agent costs the server one batch and no queue.
 */
export async function* followFeed(
  { node, held }: FollowRequest,
  { signal }: Pick<HandlerContext, "signal">,
  { follow, ...observer }: FeedServiceOptions,
): AsyncGenerator<WireMessage> {
  const method = "Follow";
  const handled = observeCall(method, observer);
  // Who goes while a message is written leaves this at its `yield` for good.
  signal.addEventListener("abort", () => handled(Code.Canceled), { once: true });
  try {
    for await (const message of follow(node, positionOf(held), signal)) {
      yield feedMessageToWire(message);
      observer.observe({ type: "message_sent", method });
    }
    handled(signal.aborted ? Code.Canceled : undefined);
  } catch (error) {
    const failure = AppError.from(error);
    const status = errorToStatus(method, failure);
    handled(status.code, failure);
    throw connectError(status);
  }
}

function positionOf(held: FollowRequest["held"]): Position | undefined {
  return held === undefined ? undefined : { epoch: held.epoch, revision: Number(held.revision) };
}
