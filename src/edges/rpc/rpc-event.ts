import type { AppError } from "#core/errors.ts";
import type { RpcMethod } from "./status.ts";

/** One call, as the `grpc_*_total` metrics count it. `code` is gRPC's name: `OK`, `Unknown`, …. */
export type CallEvent =
  | { readonly type: "call_started"; readonly method: RpcMethod }
  | { readonly type: "message_sent"; readonly method: RpcMethod }
  | { readonly type: "message_received"; readonly method: RpcMethod }
  | {
      readonly type: "call_handled";
      readonly method: RpcMethod;
      readonly code: string;
      readonly ms: number;
      /** Why it failed; undefined for `OK`. */
      readonly error: AppError | undefined;
    };

/** What happens at a server. `peer` is `address:port`. */
export type KiamServerEvent =
  | CallEvent
  | { readonly type: "listening"; readonly host: string; readonly port: number }
  | { readonly type: "connection_opened"; readonly peer: string; readonly open: number }
  | { readonly type: "connection_closed"; readonly peer: string; readonly open: number }
  /** The peer could not prove itself, or did not speak TLS or HTTP/2. */
  | { readonly type: "handshake_refused"; readonly peer: string; readonly reason: string }
  /** A connection ended because of what the peer sent or failed to answer. */
  | { readonly type: "connection_broken"; readonly peer: string; readonly reason: string };

/** What happens to the node feed that an agent follows. `server` is an address. */
export type FollowerEvent =
  | { readonly type: "feed_in_sync"; readonly server: string }
  /** It ended, and no other server's has taken its place yet. */
  | { readonly type: "feed_lost"; readonly server: string; readonly reason: string }
  /** A server could not be followed; the next one is tried. */
  | { readonly type: "feed_failed"; readonly server: string; readonly reason: string }
  /** A server is about to end, and another one is looked for. */
  | { readonly type: "feed_draining"; readonly server: string }
  /** No server has a feed: they are Kiam's. */
  | { readonly type: "feed_unoffered" };

/** What happens between an agent and its servers. `server` is `address:port`. */
export type KiamClientEvent =
  | CallEvent
  | { readonly type: "resolved"; readonly host: string; readonly addresses: readonly string[] }
  | { readonly type: "resolve_failed"; readonly host: string; readonly reason: string }
  | { readonly type: "server_reachable"; readonly server: string }
  /** Said once for each reason until the server is reachable again. */
  | { readonly type: "server_unreachable"; readonly server: string; readonly reason: string };
