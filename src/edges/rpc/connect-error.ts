import { Code, ConnectError } from "@connectrpc/connect";
import { codeName } from "./grpc-code.ts";
import type { WireStatus } from "./status.ts";

/** What a handler throws for the library to say this. Its codes have gRPC's names, as ours have. */
export function connectError({ code, text, trailers }: WireStatus): ConnectError {
  return new ConnectError(text, Code[codeName(code)], trailers);
}

/** What is said to a caller that stopped waiting, or whose time is over. */
export function stoppedWaiting(reason: unknown): ConnectError {
  return ConnectError.from(reason, Code.Canceled);
}
