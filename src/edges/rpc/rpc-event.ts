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

/** What happens between an agent and its servers. `server` is `address:port`. */
export type KiamClientEvent =
  | CallEvent
  | { readonly type: "resolved"; readonly host: string; readonly addresses: readonly string[] }
  | { readonly type: "resolve_failed"; readonly host: string; readonly reason: string }
  | { readonly type: "server_reachable"; readonly server: string }
  /** Said once for each reason until the server is reachable again. */
  | { readonly type: "server_unreachable"; readonly server: string; readonly reason: string };
