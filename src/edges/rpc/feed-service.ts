import { Code, type HandlerContext } from "@connectrpc/connect";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import type { FeedMessage, Position } from "#core/feed/feed-messages.ts";
import { feedMessageToWire } from "./feed-wire.ts";
import type { FeedMessage as WireMessage, FollowRequest } from "./gen/rolecall/v1/node_feed_pb.ts";
import type { CallEvent } from "./rpc-event.ts";
import { errorToStatus } from "./status.ts";

/** Opens the feed of a node (`NodeFeeds.follow`). */
export type FollowNode = (
  node: string,
  held: Position | undefined,
  signal: AbortSignal,
) => AsyncIterable<FeedMessage>;

export interface FeedServiceOptions {
  readonly follow: FollowNode;
  readonly clock: Clock;
  readonly observe: (event: CallEvent) => void;
}

/**
 * Answers `rolecall.v1.NodeFeed/Follow`: each message goes out when the peer has taken the one before, so
 * that a slow agent costs the server one batch and no queue.
 */
export async function* followFeed(
  { node, held }: FollowRequest,
  context: Pick<HandlerContext, "signal">,
  { follow, clock, observe }: FeedServiceOptions,
): AsyncGenerator<WireMessage> {
  const method = "Follow";
  const startedAt = clock.now();
  const handled = (code: Code | undefined, error?: AppError): void =>
    observe({
      type: "call_handled",
      method,
      code: code === undefined ? "OK" : (Code[code] ?? "Unknown"),
      ms: clock.now() - startedAt,
      error,
    });
  observe({ type: "call_started", method });
  observe({ type: "message_received", method });
  try {
    for await (const message of follow(node, positionOf(held), context.signal)) {
      yield feedMessageToWire(message);
      observe({ type: "message_sent", method });
    }
    handled(context.signal.aborted ? Code.Canceled : undefined);
  } catch (error) {
    const failure = AppError.from(error);
    const status = errorToStatus(method, failure);
    handled(status.code, failure);
    throw status;
  }
}

function positionOf(held: FollowRequest["held"]): Position | undefined {
  return held === undefined ? undefined : { epoch: held.epoch, revision: Number(held.revision) };
}
