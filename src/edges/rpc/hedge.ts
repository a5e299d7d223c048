import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { Code, codeName } from "./grpc-code.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import type { CallOptions, Link } from "./link.ts";
import type { KiamClientEvent } from "./rpc-event.ts";
import type { ServerLines } from "./server-lines.ts";
import { errorFromStatus, isWorthAnotherServer } from "./status.ts";
import type { KiamMethod } from "./status.ts";
import { reasonOf } from "./tls-peer.ts";

/** One call, to be made at as many servers as it takes. */
export interface Call<T> {
  readonly method: KiamMethod;
  /** Metadata of the call; none when absent. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly ask: (link: Link, how: CallOptions) => Promise<T>;
}

export interface HedgeOptions {
  readonly lines: Pick<ServerLines, "next" | "onUp" | "lastError">;
  readonly attemptMs: number;
  readonly totalMs: number;
  readonly clock: Clock;
  readonly observe: (event: KiamClientEvent) => void;
  readonly caller: AbortSignal;
}

/** How long a server whose answer is late has for a ping, before a fresh connection is tried. */
const PING_PATIENCE_MS = 150;
/** Servers that one call may reach; the time is over long before in all but the worst case. */
const ATTEMPTS_MAX = 8;

/**
 * Asks one server; when it fails, another one at once, and when it is late, another one as well. The
 * first good answer counts, and so does the first refusal: those are answers. Then the rest is cancelled.
 *
 * @throws {AppError} what a server answered; `server_unavailable` when none did in time.
 */
export function hedge<T>(call: Call<T>, options: HedgeOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    new Hedge(call, options, resolve, reject).start();
  });
}

class Hedge<T> {
  readonly #call: Call<T>;
  readonly #options: HedgeOptions;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  readonly #tried = new Set<Link>();
  readonly #over = new AbortController();
  /** The attempt whose being late or failing makes another server be asked. */
  #waitsFor: Link | undefined;
  #failure: AppError | undefined;
  /** Attempts without an outcome yet. */
  #open = 0;

  constructor(
    call: Call<T>,
    options: HedgeOptions,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.#call = call;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { lines, clock, totalMs, caller } = this.#options;
    const up = lines.onUp(() => this.#next());
    const abort = (): void => this.#end(() => this.#reject(caller.reason));
    caller.addEventListener("abort", abort, { once: true });
    this.#over.signal.addEventListener("abort", () => {
      up[Symbol.dispose]();
      caller.removeEventListener("abort", abort);
    });
    if (caller.aborted) {
      abort();
      return;
    }
    clock.sleep(totalMs, this.#over.signal).then(
      () => this.#end(() => this.#reject(this.#failure ?? this.#unavailable())),
      () => undefined,
    );
    this.#next();
  }

  /** Asks the next server, unless one that was asked still has its time. */
  #next(): void {
    if (this.#over.signal.aborted || this.#waitsFor !== undefined) return;
    if (this.#tried.size >= ATTEMPTS_MAX) return;
    const link = this.#options.lines.next(this.#tried);
    if (link === undefined) return;
    this.#tried.add(link);
    this.#waitsFor = link;
    // Both end by themselves, and no failure leaves them.
    void this.#attempt(link);
    void this.#watch(link);
  }

  async #attempt(link: Link): Promise<void> {
    const { observe, clock } = this.#options;
    const { method } = this.#call;
    const startedAt = clock.now();
    this.#open += 1;
    observe({ type: "call_started", method });
    observe({ type: "message_sent", method });
    const handled = (code: string, error?: AppError): void =>
      observe({ type: "call_handled", method, code, ms: clock.now() - startedAt, error });
    try {
      const answer = await this.#ask(link);
      observe({ type: "message_received", method });
      handled("OK");
      this.#end(() => this.#resolve(answer));
    } catch (error) {
      this.#open -= 1;
      const failure = errorFromStatus(error);
      const code = codeName(error instanceof GrpcFailure ? error.code : Code.Unknown);
      handled(this.#over.signal.aborted ? "Canceled" : code, failure);
      this.#fail(link, failure);
    }
  }

  /** A call on a connection that ended never hangs, whatever became of its stream. */
  async #ask(link: Link): Promise<T> {
    const gone = Promise.withResolvers<never>();
    const end = (): void => gone.reject(new GrpcFailure(Code.Unavailable, "connection lost"));
    link.gone.addEventListener("abort", end, { once: true });
    try {
      const timeoutMs = this.#options.totalMs;
      const how = { signal: this.#over.signal, timeoutMs, headers: this.#call.headers ?? {} };
      return await Promise.race([this.#call.ask(link, how), gone.promise]);
    } finally {
      link.gone.removeEventListener("abort", end);
    }
  }

  #fail(link: Link, failure: AppError): void {
    if (!isWorthAnotherServer(failure)) {
      this.#end(() => this.#reject(failure));
      return;
    }
    // What a server said tells more than that another could not be reached.
    if (failure.code !== "server_unavailable") this.#failure ??= failure;
    this.#passOn(link);
    if (this.#failure !== undefined && this.#open === 0) {
      this.#end(() => this.#reject(this.#failure));
    }
  }

  async #watch(link: Link): Promise<void> {
    const { clock, attemptMs } = this.#options;
    try {
      await clock.sleep(attemptMs, this.#over.signal);
    } catch {
      return;
    }
    if (this.#waitsFor !== link) return;
    this.#passOn(link);
    // Tells by itself what becomes of the connection; a fresh one makes `onUp` ask again.
    void link.suspect(PING_PATIENCE_MS);
  }

  #passOn(link: Link): void {
    if (this.#waitsFor !== link) return;
    this.#waitsFor = undefined;
    this.#next();
  }

  #end(settle: () => void): void {
    if (this.#over.signal.aborted) return;
    settle();
    this.#over.abort(new Error("answered elsewhere"));
  }

  #unavailable(): AppError {
    const { totalMs, lines } = this.#options;
    const { lastError } = lines;
    const why = lastError === undefined ? "" : `: ${reasonOf(lastError)}`;
    return new AppError("server_unavailable", `No server answered within ${totalMs} ms${why}`, {
      cause: lastError,
    });
  }
}
