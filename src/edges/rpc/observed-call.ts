import type { Clock } from "#core/clock.ts";
import type { AppError } from "#core/errors.ts";
import { type Code, codeName } from "./grpc-code.ts";
import type { CallEvent } from "./rpc-event.ts";
import type { RpcMethod } from "./status.ts";

export interface CallObserver {
  readonly clock: Clock;
  readonly observe: (event: CallEvent) => void;
}

/** Tells that a call came in. The result tells how it ended, once: without a code, well. */
export function observeCall(
  method: RpcMethod,
  { clock, observe }: CallObserver,
): (code?: Code, error?: AppError) => void {
  const startedAt = clock.now();
  let isOver = false;
  observe({ type: "call_started", method });
  observe({ type: "message_received", method });
  return (code, error) => {
    if (isOver) return;
    isOver = true;
    const name = code === undefined ? "OK" : codeName(code);
    observe({ type: "call_handled", method, code: name, ms: clock.now() - startedAt, error });
  };
}
