import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { createConnectRouter } from "@connectrpc/connect";
import type { HandlerContext } from "@connectrpc/connect";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { orAborted } from "#core/or-aborted.ts";
import type { PodAnswers } from "#core/feed/pod-answers.ts";
import { connectError, stoppedWaiting } from "./connect-error.ts";
import { Code } from "./grpc-code.ts";
import { KiamService } from "./gen/kiam/kiam_pb.ts";
import type { KiamServerEvent } from "./rpc-event.ts";
import { disputeFromWire } from "./dispute-wire.ts";
import { type FollowNode, followFeed, type TakeDispute } from "./feed-service.ts";
import { NodeFeed } from "./gen/rolecall/v1/node_feed_pb.ts";
import { observeCall } from "./observed-call.ts";
import { mindPodUid } from "./pod-uid.ts";
import { errorToStatus } from "./status.ts";
import type { RpcMethod } from "./status.ts";
import { credentialsToWire } from "./wire-credentials.ts";

/** What a server answers. Failures are AppErrors; anything else that is thrown is answered as `internal`. */
export interface KiamHandlers extends PodAnswers {
  /** `ok` */
  health(signal: AbortSignal): Promise<string>;
}

export interface KiamServiceOptions {
  readonly handlers: KiamHandlers;
  /** The node feed; without one the server is as Kiam's. */
  readonly follow?: FollowNode | undefined;
  /** Without it agents are told that no reports are taken. */
  readonly takeDispute?: TakeDispute | undefined;
  readonly clock: Clock;
  readonly observe: (event: KiamServerEvent) => void;
}

/** Answers one HTTP/2 request. Never throws. */
export type AnswerRequest = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** The largest request and answer in bytes; Kiam's are well under 4 kB. */
const MESSAGE_BYTES_MAX = 65_536;

/** `kiam.KiamService`, and the node feed beside it, over HTTP/2, gRPC only. */
export function kiamService(options: KiamServiceOptions): AnswerRequest {
  const { handlers, follow, takeDispute } = options;
  const router = createConnectRouter({
    connect: false,
    grpcWeb: false,
    readMaxBytes: MESSAGE_BYTES_MAX,
    writeMaxBytes: MESSAGE_BYTES_MAX,
    // Nothing here is worth compressing, and what is not decompressed can't explode.
    acceptCompression: [],
  });
  router.service(KiamService, {
    getPodRole: ({ ip }, context) =>
      answer("GetPodRole", context, options, async (signal) => ({
        name: await handlers.role(ip, signal, mindPodUid(context)),
      })),
    getPodCredentials: ({ ip, role }, context) =>
      answer("GetPodCredentials", context, options, async (signal) =>
        credentialsToWire(await handlers.credentials(ip, role, signal, mindPodUid(context))),
      ),
    getHealth: (_request, context) =>
      answer("GetHealth", context, options, async (signal) => ({
        message: await handlers.health(signal),
      })),
  });
  if (follow !== undefined) {
    router.service(NodeFeed, {
      follow: (request, context) => followFeed(request, context, { ...options, follow }),
      ...(takeDispute === undefined
        ? {}
        : {
            report: (request, context) =>
              answer("Report", context, options, async () => {
                const dispute = disputeFromWire(request);
                if (dispute !== undefined) takeDispute(request.node, dispute);
                return {};
              }),
          }),
    });
  }
  const routes = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const route = routes.get(request.url.split("?", 1)[0] ?? "");
    if (route === undefined) {
      refuseUnknown(request.url, response);
      return;
    }
    // A request without a usable authority makes the conversion throw: that must not reach the process.
    Promise.try(() =>
      route(universalRequestFromNodeRequest(request, response, undefined, undefined)),
    )
      .then((answered) => universalResponseToNodeResponse(answered, response))
      // The caller went away, or sent what is no request: nobody is left to be told.
      .catch(() => request.stream.close());
  };
}

async function answer<T>(
  method: RpcMethod,
  context: HandlerContext,
  observer: KiamServiceOptions,
  handle: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const handled = observeCall(method, observer);
  try {
    context.signal.throwIfAborted();
    // A caller's deadline holds whether the handler minds the signal or not.
    const message = await orAborted(handle(context.signal), context.signal);
    observer.observe({ type: "message_sent", method });
    handled();
    return message;
  } catch (error) {
    if (context.signal.aborted && error === context.signal.reason) {
      const status = stoppedWaiting(error);
      handled(status.code, new AppError("server_unavailable", "The caller stopped waiting"));
      throw status;
    }
    const failure = AppError.from(error);
    const status = errorToStatus(method, failure);
    handled(status.code, failure);
    throw connectError(status);
  }
}

/** The answer of a Go server to a method that it does not have. */
function refuseUnknown(url: string, response: Http2ServerResponse): void {
  const path = url.slice(0, 200).toWellFormed();
  response.writeHead(200, {
    "content-type": "application/grpc",
    "grpc-status": String(Code.Unimplemented),
    "grpc-message": encodeURIComponent(`unknown method ${path}`),
  });
  response.end();
}
