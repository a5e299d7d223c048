import { constants } from "node:http2";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Clock, Random } from "#core/clock.ts";
import { answersPing } from "./keepalive.ts";
import type { ServerKeepalive } from "./keepalive.ts";

export interface ServerSessionOptions {
  readonly keepalive: ServerKeepalive;
  readonly clock: Clock;
  readonly random: Random;
  /** Told once, when the connection is ended because the peer is gone. */
  readonly onBroken: (reason: string) => void;
}

/** Ages are spread by ±10 %, so that the agents of a node pool don't all come back together. */
const AGE_SPREAD = 0.1;

/** Watches over one connection: pings, idleness and age. */
export class ServerSession {
  /** Settles when the connection is closed. */
  readonly closed: Promise<void>;
  readonly #session: ServerHttp2Session;
  readonly #options: ServerSessionOptions;
  readonly #over = new AbortController();
  #streams = 0;
  #idleSince: number;
  #closing: Promise<void> | undefined;

  constructor(session: ServerHttp2Session, options: ServerSessionOptions) {
    this.#session = session;
    this.#options = options;
    this.#idleSince = options.clock.now();
    this.closed = new Promise((resolve) => {
      session.once("close", () => {
        this.#over.abort();
        resolve();
      });
    });
    session.on("stream", (stream: ServerHttp2Stream) => this.#count(stream));
    // Each of them ends with the connection, by the aborted sleep.
    for (const watch of [this.#ping(), this.#idle(), this.#age()]) watch.catch(() => undefined);
  }

  /**
   * Asks the peer to go elsewhere, answers what it has sent until then, and closes; what is open after
   * `graceMs` is cut. As in Go: the ping's answer proves that the peer has seen the request.
   */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const session = this.#session;
    const { clock, keepalive } = this.#options;
    if (session.destroyed) return;
    const cut = clock.sleep(graceMs, this.#over.signal).then(
      () => session.destroy(),
      () => undefined,
    );
    session.goaway(constants.NGHTTP2_NO_ERROR);
    const patience = Math.min(keepalive.timeoutMs, graceMs);
    await answersPing(session, patience, clock, this.#over.signal);
    if (!session.destroyed) session.close();
    await Promise.race([this.closed, cut]);
  }

  #count(stream: ServerHttp2Stream): void {
    this.#streams += 1;
    stream.once("close", () => {
      this.#streams -= 1;
      this.#idleSince = this.#options.clock.now();
    });
  }

  async #ping(): Promise<void> {
    const { clock, keepalive, onBroken } = this.#options;
    for (;;) {
      await clock.sleep(keepalive.timeMs, this.#over.signal);
      const answers = await answersPing(
        this.#session,
        keepalive.timeoutMs,
        clock,
        this.#over.signal,
      );
      if (answers || this.#over.signal.aborted) continue;
      onBroken(`no answer to a ping within ${keepalive.timeoutMs} ms`);
      this.#session.destroy();
    }
  }

  async #idle(): Promise<void> {
    const { clock, keepalive } = this.#options;
    for (;;) {
      const idleMs = this.#streams > 0 ? 0 : clock.now() - this.#idleSince;
      if (idleMs >= keepalive.idleMs) break;
      await clock.sleep(keepalive.idleMs - idleMs, this.#over.signal);
    }
    await this.close(keepalive.ageGraceMs);
  }

  async #age(): Promise<void> {
    const { clock, keepalive, random } = this.#options;
    const spread = 1 - AGE_SPREAD + 2 * AGE_SPREAD * random();
    await clock.sleep(keepalive.ageMs * spread, this.#over.signal);
    await this.close(keepalive.ageGraceMs);
  }
}
