import { connect as connectHttp2 } from "node:http2";
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from "node:http2";
import { isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Clock } from "#core/clock.ts";
import { callHeaders, grpcCall } from "./grpc-call.ts";
import { Code } from "./grpc-code.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import { answersPing } from "./keepalive.ts";
import type { ClientKeepalive } from "./keepalive.ts";
import { formatHostPort } from "./server-address.ts";
import { secureContext, verifyServerName } from "./tls-peer.ts";
import type { TlsFiles } from "./tls-files.ts";

export interface LinkOptions {
  /** The name that the server's certificate must have. */
  readonly host: string;
  readonly port: number;
  readonly tls: TlsFiles;
  readonly keepalive: ClientKeepalive;
  readonly clock: Clock;
}

/** How a call is made. */
export interface CallOptions {
  readonly signal: AbortSignal;
  /** How long the server is told that it is waited for; it is the signal that ends the call. */
  readonly timeoutMs?: number;
  /** Metadata; none when absent. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Called with the metadata of the answer, before its messages. */
  readonly onHeaders?: (headers: IncomingHttpHeaders) => void;
}

/** One open connection to one server, to call over. */
export class Link {
  /** Which server it is: one of the addresses of the host. */
  readonly address: string;
  /** Aborts once no new call may be made: the connection ended, or the server asked to go elsewhere. */
  readonly over: AbortSignal;
  readonly #session: ClientHttp2Session;
  readonly #options: LinkOptions;
  readonly #over = new AbortController();
  readonly #gone = new AbortController();
  #calls = 0;
  #heardAt: number;
  #suspected: Promise<void> | undefined;

  constructor(address: string, session: ClientHttp2Session, options: LinkOptions) {
    this.address = address;
    this.#session = session;
    this.#options = options;
    this.#heardAt = options.clock.now();
    this.over = this.#over.signal;
    session.on("error", (error) => this.#over.abort(error));
    session.once("goaway", (code) => this.retire(`the server closes the connection (${code})`));
    session.once("close", () => {
      this.#over.abort(new Error("connection closed"));
      this.#gone.abort();
    });
    // Ends with the connection, by the aborted sleep.
    this.#ping().catch(() => undefined);
  }

  /** Aborts when the connection has ended, with whatever was open on it. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Whether an answer was late and nothing has been heard since. */
  get isSuspect(): boolean {
    return this.#suspected !== undefined;
  }

  /**
   * Asks for one answer.
   *
   * @throws {GrpcFailure} as `grpcCall` does.
   */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    how: CallOptions,
  ): Promise<MessageShape<O>> {
    const answers: MessageShape<O>[] = [];
    await this.#call(method, request, how, (answer) => void answers.push(answer));
    const [answer] = answers;
    if (answer === undefined || answers.length > 1) {
      throw new GrpcFailure(Code.Internal, `${answers.length} answers to one call`);
    }
    return answer;
  }

  /**
   * Asks for messages until the server ends them well.
   *
   * @throws {GrpcFailure} as `grpcCall` does; whatever `onMessage` throws.
   */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    how: CallOptions & { readonly onMessage: (message: MessageShape<O>) => void },
  ): Promise<void> {
    return this.#call(method, request, how, how.onMessage);
  }

  /**
   * An answer is late: is the server slow, or gone? A ping tells. Without an answer to it the link is
   * retired after `patienceMs` (so that a fresh connection is tried) and cut after the keepalive timeout.
   */
  suspect(patienceMs: number): Promise<void> {
    this.#suspected ??= this.#ask(patienceMs).finally(() => (this.#suspected = undefined));
    return this.#suspected;
  }

  /** Takes no new calls; those that are open may end. */
  retire(reason: string): void {
    this.#over.abort(new Error(reason));
    if (!this.#session.destroyed) this.#session.close();
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#session.destroy();
  }

  async #call<I extends DescMessage, O extends DescMessage>(
    { parent, name, input, output }: DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    { signal, timeoutMs, headers, onHeaders }: CallOptions,
    onMessage: (message: MessageShape<O>) => void,
  ): Promise<void> {
    const stream = this.#request({
      ...callHeaders(timeoutMs),
      ...headers,
      ":path": `/${parent.typeName}/${name}`,
    });
    await grpcCall(stream, {
      request: toBinary(input, create(input, request)),
      onHeaders,
      onMessage: (bytes) => onMessage(fromBinary(output, bytes)),
      signal,
    });
  }

  async #ask(patienceMs: number): Promise<void> {
    const { clock, keepalive } = this.#options;
    const done = new AbortController();
    const patience = clock.sleep(patienceMs, AbortSignal.any([done.signal, this.gone])).then(
      () => this.retire(`no answer to a ping within ${patienceMs} ms`),
      () => undefined,
    );
    if (await answersPing(this.#session, keepalive.timeoutMs, clock, this.gone)) this.#hear();
    else this.#session.destroy();
    done.abort();
    await patience;
  }

  /** @throws {GrpcFailure} `Unavailable` when no call can be made any more. */
  #request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    try {
      if (this.over.aborted) throw this.over.reason;
      const stream = this.#session.request(headers);
      this.#calls += 1;
      stream.on("data", () => this.#hear());
      stream.once("response", () => this.#hear());
      stream.once("close", () => {
        this.#calls -= 1;
      });
      return stream;
    } catch (cause) {
      throw new GrpcFailure(Code.Unavailable, "connection is over", { cause });
    }
  }

  #hear(): void {
    this.#heardAt = this.#options.clock.now();
  }

  /** Pings only when nothing was heard for a while, and on an idle connection only when told to. */
  async #ping(): Promise<void> {
    const { clock, keepalive } = this.#options;
    for (;;) {
      const silentMs = clock.now() - this.#heardAt;
      await clock.sleep(Math.max(keepalive.timeMs - silentMs, keepalive.timeMs / 10), this.gone);
      if (clock.now() - this.#heardAt < keepalive.timeMs) continue;
      if (this.#calls === 0 && keepalive.permitWithoutStream !== true) continue;
      await this.suspect(keepalive.timeoutMs);
      this.#hear();
    }
  }
}

/**
 * Connects to one address and verifies the server's certificate for the host.
 *
 * @throws whatever the connection failed with, or the signal's reason.
 */
export async function openLink(
  address: string,
  options: LinkOptions,
  signal: AbortSignal,
): Promise<Link> {
  signal.throwIfAborted();
  const { host, port, tls } = options;
  const socket = connectTls({
    ...secureContext(tls.current),
    host: address,
    port,
    ALPNProtocols: ["h2"],
    // An IP address is no server name; the certificate is still verified for it below.
    servername: isIP(host) === 0 ? host : "",
    checkServerIdentity: (_name, certificate) => verifyServerName(host, certificate),
  });
  const session = connectHttp2(`https://${formatHostPort(options)}`, {
    createConnection: () => socket,
    settings: { enablePush: false },
  });
  const opened = Promise.withResolvers<void>();
  const abort = (): void => opened.reject(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  session.once("connect", () => opened.resolve());
  session.on("error", opened.reject);
  session.once("close", () => opened.reject(new Error("connection closed by the server")));
  try {
    await opened.promise;
    return new Link(address, session, options);
  } catch (error) {
    session.destroy();
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
