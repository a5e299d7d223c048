import type { Socket } from "node:net";
import { answerText, emptyAnswer } from "./answer-text.ts";
import { ClientPresence } from "./client-presence.ts";
import type { HttpAnswer, HttpHandler } from "./http-message.ts";
import type { Client } from "./limits.ts";
import { PresentRequest } from "./present-request.ts";
import type { RequestHead } from "./request-head.ts";
import type { RequestHeads } from "./request-heads.ts";
import { HEAD_BYTES_MAX, RequestReader } from "./request-reader.ts";

/** What the connections of a server share. */
export interface ConnectionHost {
  readonly handler: HttpHandler;
  readonly heads: RequestHeads;
  /** Whether each answer is the last one of its connection. */
  readonly isStopping: boolean;
  /** The present instant, as HTTP spells it. */
  readonly date: string;
}

/**
 * How many seconds a connection may be in each phase: missing a head, missing a body, being answered,
 * being refused, taking what was written, idle, closing. Idle ones stay longer than clients keep them, so that these
 * never send on one that is being closed.
 */
const PATIENCE = { head: 5, body: 5, answer: 30, late: 1, drain: 10, idle: 75, close: 2 } as const;
type Phase = keyof typeof PATIENCE;

/** What a client is told that has or wants more than its share. */
const LATER = {
  429: { status: 429, headers: { "Retry-After": "1" }, body: "" },
  503: { status: 503, headers: { "Retry-After": "1" }, body: "" },
} as const;

/** How many requests that came at once are answered before other connections have their turn. */
const ANSWERS_A_TURN = 16;

/** The connection of one client: requests are answered in their order, each with one write. */
export class Connection {
  readonly #socket: Socket;
  readonly #client: Client;
  readonly #presence: ClientPresence;
  readonly #host: ConnectionHost;
  readonly #reader: RequestReader;
  /** A client that connects and says nothing is a slow one, not an idle one. */
  #phase: Phase = "head";
  #secondsInPhase = 0;
  #isResting = false;
  #hasSpoken = false;
  #isAnswering = false;
  #refused: RequestHead | undefined;
  /** Bytes of the reader that are counted. */
  #held = 0;

  constructor(socket: Socket, client: Client, host: ConnectionHost) {
    this.#socket = socket;
    this.#client = client;
    this.#presence = new ClientPresence(socket);
    this.#host = host;
    this.#reader = new RequestReader(host.heads);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("drain", () => this.#drained());
    // A `close` follows, which is all that matters.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#closed());
  }

  /** Tells that a second has passed. */
  tick(): void {
    this.#secondsInPhase += 1;
    if (this.#phase === "late" && this.#refused !== undefined) {
      this.#send(this.#refused, LATER[429]);
      return;
    }
    if (this.#secondsInPhase <= PATIENCE[this.#phase]) return;
    if (this.#phase === "head" || this.#phase === "body") this.#end(408);
    else this.destroy();
  }

  /** Closes the connection unless a request is under way. */
  closeIfIdle(): void {
    const isFresh = this.#phase === "head" && this.#reader.waiting === 0;
    if (isFresh || this.#phase === "idle" || this.#phase === "close") this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    // What is said after the last answer is let go by.
    if (this.#phase === "close") return;
    this.#reader.add(chunk);
    this.#listen();
    // A client may send ahead of its answers, but not without end.
    if (this.#reader.waiting > HEAD_BYTES_MAX) this.#socket.pause();
  }

  /**
   * Answers what has come. The first time one turn of the event loop later, by when everything has been heard that the
   * kernel told before the client connected: whose its address is may be among it.
   */
  #listen(): void {
    if (!this.#hasSpoken) {
      this.#hasSpoken = true;
      this.#rest();
    }
    this.#advance();
  }

  /** Counts what is not read yet against all that the server may hold. */
  #hold(): void {
    const more = this.#reader.waiting - this.#held;
    this.#held += more;
    if (more !== 0 && !this.#client.hold(more) && this.#phase !== "close") this.#end(503);
  }

  #closed(): void {
    // Telling costs as much as a short answer, and who was answered before does not listen any more.
    if (this.#isAnswering) this.#presence.leave();
    this.#client.hold(-this.#held);
    this.#held = 0;
  }

  #drained(): void {
    if (this.#phase !== "drain") return;
    this.#enter("idle");
    this.#advance();
  }

  /** Goes on with what has come, unless others have their turn. */
  #advance(): void {
    if (!this.#isResting) this.#answerSome();
    this.#hold();
  }

  /** Answers what has come, some requests at a time. */
  #answerSome(): void {
    for (let turn = 0; this.#isReading(); turn++) {
      if (turn === ANSWERS_A_TURN) {
        this.#rest();
        return;
      }
      const next = this.#reader.next();
      if (typeof next === "number") this.#end(next);
      else if (typeof next === "object") this.#answer(next);
      else {
        if (next === "continue") this.#socket.write("HTTP/1.1 100 Continue\r\n\r\n");
        this.#enter(next === "continue" ? "body" : next);
        if (this.#socket.isPaused()) this.#socket.resume();
        return;
      }
    }
  }

  #isReading(): boolean {
    return this.#phase === "idle" || this.#phase === "head" || this.#phase === "body";
  }

  /** Lets others have their turn. */
  #rest(): void {
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      this.#advance();
    });
  }

  #answer(head: RequestHead): void {
    const refusal = this.#client.ask();
    if (refusal !== undefined) {
      this.#refused = { ...head, isKept: false };
      // Who asks too often is told so only when the second is over: else it would ask as often again.
      if (refusal === 429) this.#enter("late");
      else this.#send(this.#refused, LATER[refusal]);
      return;
    }
    const request = new PresentRequest(head, this.#presence);
    let answer: HttpAnswer | Promise<HttpAnswer>;
    try {
      answer = this.#host.handler(request);
    } catch {
      answer = emptyAnswer(500);
    }
    if (!(answer instanceof Promise)) {
      this.#client.answered();
      this.#send(head, answer);
      return;
    }
    this.#enter("answer");
    this.#isAnswering = true;
    const finish = (later: HttpAnswer): void => {
      this.#isAnswering = false;
      this.#client.answered();
      if (this.#socket.destroyed) return;
      this.#send(head, later);
      this.#advance();
    };
    answer.then(finish, () => finish(emptyAnswer(500)));
  }

  #send(head: RequestHead, answer: HttpAnswer): void {
    const isLast = !head.isKept || this.#host.isStopping;
    const text = this.#textOf(answer, head, isLast);
    if (isLast) {
      if (this.#reader.waiting === 0) this.#part(text);
      else this.#close(text);
    } else this.#enter(this.#socket.write(text, encodingOf(text)) ? "idle" : "drain");
  }

  #textOf(answer: HttpAnswer, { method, isOld }: RequestHead, isLast: boolean): string {
    const kept = isOld ? "keep-alive" : undefined;
    const frame = {
      isHead: method === "HEAD",
      connection: isLast ? "close" : kept,
      date: this.#host.date,
    } as const;
    try {
      return answerText(answer, frame);
    } catch {
      return answerText(emptyAnswer(500), frame);
    }
  }

  /** Tells a client why its requests are not read any further. */
  #end(status: number): void {
    const { date } = this.#host;
    this.#close(answerText(emptyAnswer(status), { isHead: false, connection: "close", date }));
  }

  /** Ends with these words. Nothing is on its way that a reset could answer: there is no need to wait for the client's end. */
  #part(words: string): void {
    this.#enter("close");
    // Not within the callback: that makes an error, trace and all, which nobody hears of.
    this.#socket.write(words, encodingOf(words), () => queueMicrotask(() => this.destroy()));
  }

  /** Ends with these words; the client's own end, or some seconds, close the connection. */
  #close(words: string): void {
    this.#enter("close");
    this.#socket.end(words, encodingOf(words));
    // What still comes has to be taken: a reset instead would take the words away from the client.
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  #enter(phase: Phase): void {
    // A head or body that comes in many pieces has not longer for it.
    if (phase === this.#phase && phase !== "idle") return;
    this.#phase = phase;
    this.#secondsInPhase = 0;
  }
}

/** The cheaper of the two wherever it says the same. */
function encodingOf(text: string): "latin1" | "utf8" {
  return Buffer.byteLength(text) === text.length ? "latin1" : "utf8";
}
