import type { Clock } from "#core/clock.ts";

/** How many sockets listen on a port of the node, this process's included. */
export type CountListeners = (port: number) => Promise<number>;

/** Looking costs two reads of files. */
const LOOK_EVERY_MS = 100;
/** Shorter than a process has for stopping. Clients that use a connection have used it by then. */
const RETIRE_WITHIN_MS = 12_000;

export interface Follow {
  readonly port: number;
  readonly listeners: CountListeners;
  /** Whether this agent could answer pods. */
  readonly isReady: (signal: AbortSignal) => Promise<boolean>;
  readonly clock: Clock;
}

/**
 * Waits with opening the port while another agent answers there and this one could not yet: the kernel
 * gives half of the connections to each. Without another, there is nothing to wait for.
 */
export async function awaitTurn(options: Follow, signal: AbortSignal): Promise<void> {
  const { port, listeners, isReady, clock } = options;
  while ((await listeners(port)) > 0 && !(await isReady(signal))) {
    await clock.sleep(LOOK_EVERY_MS, signal);
  }
}

export interface Retire {
  readonly endpoint: {
    readonly port: number;
    /** Takes no new connections, and lets those that are open end with their next answer. */
    retire(withinMs: number): Promise<void>;
  };
  readonly listeners: CountListeners;
}

/**
 * Leaves the port to the agent that follows, if there is one: open connections then have time for one
 * more request. Without one that time would only keep pods from the next agent, so it ends at once.
 */
export async function handOver({ endpoint, listeners }: Retire): Promise<void> {
  if ((await listeners(endpoint.port)) > 1) await endpoint.retire(RETIRE_WITHIN_MS);
}
