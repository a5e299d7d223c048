import { once } from "node:events";
import { type AddressInfo, type Socket, createServer } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { Connection } from "./connection.ts";
import type { HttpHandler } from "./http-message.ts";
import { RequestHeads } from "./request-heads.ts";
import { Clients, LIMITS, type Limits, type RefusalEvent } from "./limits.ts";

/**
 * An open port of an endpoint. Disposing stops listening, answers what is under way, tells each client with
 * its last answer that the connection closes, and takes five seconds at most.
 */
export interface HttpListener extends AsyncDisposable {
  readonly port: number;
  /**
   * Takes no new connections; those that are open get one more answer each, and are told that it is the
   * last. Resolves when all have ended, or when the time is over.
   */
  retire(withinMs: number): Promise<void>;
}

export interface HttpServerOptions {
  readonly port: number;
  /** Every interface when absent. */
  readonly host?: string;
  readonly handler: HttpHandler;
  readonly clock: Clock;
  /** Where they differ from `LIMITS`. */
  readonly limits?: Partial<Limits>;
  readonly observe?: (event: RefusalEvent) => void;
}

const SECOND_MS = 1_000;
/** A client that uses its connection again and again is told with an answer that it closes. */
const FAREWELL_MS = 250;
const DRAIN_MS = 5_000;
/** As many connections as may wait to be taken. */
const TURNS_MAX = 511;

/**
 * Serves pods over HTTP/1.1, bounded in bytes, time, connections and requests. What is not HTTP, too large,
 * too slow or too much is told so and closed; bodies go by unread.
 *
 * @throws {AppError} `invalid_settings` when the port cannot be listened on.
 */
export async function serveHttp(options: HttpServerOptions): Promise<HttpListener> {
  const { port, host, handler, clock, limits, observe = () => undefined } = options;
  const connections = new Set<Connection>();
  const clients = new Clients({ ...LIMITS, ...limits }, observe);
  const heads = new RequestHeads();
  const shared = { handler, heads, isStopping: false, date: httpDate(clock) };

  let taken = 0;

  const take = (socket: Socket): void => {
    taken += 1;
    const client = clients.admit(socket.remoteAddress ?? "");
    if (client === undefined) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, client, shared);
    connections.add(connection);
    socket.on("close", () => {
      connections.delete(connection);
      client.leave();
    });
  };

  const server = createServer({ noDelay: true }, take);
  try {
    // Two agents share the port for as long as one takes over from the other.
    server.listen({ port, reusePort: true, ...(host === undefined ? {} : { host }) });
    await once(server, "listening");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AppError("invalid_settings", `--port: cannot listen on ${port}: ${code}`, {
      cause: error,
    });
  }
  const stop = new AbortController();
  const ticking = tick(clock, stop.signal, () => {
    shared.date = httpDate(clock);
    clients.tick();
    for (const connection of connections) connection.tick();
  });

  const closed = once(server, "close");
  const retire = async (withinMs: number): Promise<void> => {
    shared.isStopping = true;
    await untilQuiet(() => taken);
    server.close();
    await Promise.race([closed, clock.sleep(withinMs, stop.signal)]);
  };
  return {
    port: (server.address() as AddressInfo).port,
    retire,
    async [Symbol.asyncDispose]() {
      if (stop.signal.aborted) return;
      shared.isStopping = true;
      if (server.listening) server.close();
      await Promise.race([closed, clock.sleep(FAREWELL_MS, stop.signal)]);
      for (const connection of connections) connection.closeIfIdle();
      await Promise.race([closed, clock.sleep(DRAIN_MS - FAREWELL_MS, stop.signal)]);
      for (const connection of connections) connection.destroy();
      await closed;
      stop.abort(new Error("the listener is closed"));
      await ticking;
    },
  };
}

/** Connections that wait to be taken are lost with the port; each turn takes one of them. */
async function untilQuiet(taken: () => number): Promise<void> {
  let before = -1;
  for (let turns = 0; taken() !== before && turns < TURNS_MAX; turns += 1) {
    before = taken();
    await setImmediate();
  }
}

/** Calls `each` every second until the signal aborts. */
async function tick(clock: Clock, signal: AbortSignal, each: () => void): Promise<void> {
  while (!signal.aborted) {
    // Only the signal ends a sleep early.
    await clock.sleep(SECOND_MS, signal).then(each, () => undefined);
  }
}

function httpDate(clock: Clock): string {
  return new Date(clock.now()).toUTCString();
}
