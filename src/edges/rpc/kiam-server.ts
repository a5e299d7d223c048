import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { Http2SecureServer, ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock, Random } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import type { ServerKeepalive } from "./keepalive.ts";
import { kiamService } from "./kiam-service.ts";
import type { FollowNode, TakeDispute } from "./feed-service.ts";
import type { KiamHandlers } from "./kiam-service.ts";
import type { KiamServerEvent } from "./rpc-event.ts";
import { parseHostPort } from "./server-address.ts";
import { ServerSession } from "./server-session.ts";
import { reasonOf, secureContext } from "./tls-peer.ts";
import type { TlsFiles } from "./tls-files.ts";

export interface KiamServerOptions {
  /** `host:port`; an empty host is every interface, port 0 any free one. */
  readonly bind: string;
  readonly tls: TlsFiles;
  readonly handlers: KiamHandlers;
  /** The node feed, served beside it; without one the server is as Kiam's. */
  readonly follow?: FollowNode | undefined;
  /** What agents report goes there; without it they are told that no reports are taken. */
  readonly takeDispute?: TakeDispute | undefined;
  readonly keepalive: ServerKeepalive;
  readonly clock: Clock;
  readonly random: Random;
  /** Starts the draining when it aborts. */
  readonly signal: AbortSignal;
  readonly observe: (event: KiamServerEvent) => void;
  /** How many connections may be open; 10 000 by default. */
  readonly connectionsMax?: number;
  /** How long calls may go on after the stop; 10 s by default. */
  readonly drainMs?: number;
}

/** A server that listens. Disposing it drains it. */
export interface KiamServer extends AsyncDisposable {
  readonly port: number;
}

const CONNECTIONS_MAX = 10_000;
const DRAIN_MS = 10_000;
/** A TLS handshake that takes longer is given up. */
const HANDSHAKE_MS = 5_000;
/** Open calls on one connection; Go's clients wait when there are more. */
const STREAMS_MAX = 256;
/** Header fields of one request; Go's clients send about ten. */
const HEADER_FIELDS_MAX = 64;
/** What one connection may make the process hold, in megabytes. */
const SESSION_MEGABYTES_MAX = 2;

/**
 * Serves `kiam.KiamService` over mutual TLS, as Kiam's server does (specs: kiam.md §3), and goes on
 * whatever a peer sends. New connections use new certificate files at once; open ones are kept.
 *
 * @throws {AppError} `invalid_settings` when it can't listen.
 */
export async function serveKiam(options: KiamServerOptions): Promise<KiamServer> {
  const { tls, observe, clock, drainMs = DRAIN_MS } = options;
  const { host, port } = parseHostPort(options.bind);
  const sessions = new Set<ServerSession>();
  const server = createSecureServer(
    {
      ...secureContext(tls.current),
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_MS,
      settings: { maxConcurrentStreams: STREAMS_MAX, enablePush: false },
      maxHeaderListPairs: HEADER_FIELDS_MAX,
      maxSessionMemory: SESSION_MEGABYTES_MAX,
    },
    kiamService(options),
  );
  server.maxConnections = options.connectionsMax ?? CONNECTIONS_MAX;
  observePeers(server, sessions, options);
  await listen(server, host, port);
  const bound = (server.address() as AddressInfo).port;
  observe({ type: "listening", host, port: bound });

  const reload = tls.subscribe(() => server.setSecureContext(secureContext(tls.current)));
  let drained: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    drained ??= (async () => {
      options.signal.removeEventListener("abort", drainOnAbort);
      reload[Symbol.dispose]();
      const closed = once(server, "close");
      server.close();
      const closeAll = () => Promise.all([...sessions].map((session) => session.close(drainMs)));
      // A connection that was in its handshake is a session only now.
      server.on("session", () => void closeAll());
      await closeAll();
      // What never becomes one, such as garbage, has the time of a handshake.
      const done = new AbortController();
      const patience = AbortSignal.any([done.signal, AbortSignal.timeout(HANDSHAKE_MS)]);
      await Promise.race([closed, clock.sleep(HANDSHAKE_MS, patience)]).catch(() => undefined);
      done.abort();
    })();
    return drained;
  };
  // Disposing waits for it; a failure can only be an error of the server that is gone anyway.
  const drainOnAbort = (): void => void drain().catch(() => undefined);
  options.signal.addEventListener("abort", drainOnAbort, { once: true });
  if (options.signal.aborted) drainOnAbort();
  return { port: bound, [Symbol.asyncDispose]: drain };
}

function observePeers(
  server: Http2SecureServer,
  sessions: Set<ServerSession>,
  { keepalive, clock, random, observe }: KiamServerOptions,
): void {
  server.on("session", (session: ServerHttp2Session) => {
    const peer = peerOf(session.socket as TLSSocket);
    const onBroken = (reason: string): void => observe({ type: "connection_broken", peer, reason });
    const watched = new ServerSession(session, { keepalive, clock, random, onBroken });
    sessions.add(watched);
    observe({ type: "connection_opened", peer, open: sessions.size });
    session.on("error", (error) => onBroken(reasonOf(error)));
    session.once("close", () => {
      sessions.delete(watched);
      observe({ type: "connection_closed", peer, open: sessions.size });
    });
  });
  server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
    const reason = refusalReason(error, socket);
    observe({ type: "handshake_refused", peer: peerOf(socket), reason });
  });
  server.on("unknownProtocol", (socket: TLSSocket) => {
    const reason = "the peer does not speak HTTP/2 (no ALPN protocol h2)";
    observe({ type: "handshake_refused", peer: peerOf(socket), reason });
    socket.destroy();
  });
  // Errors of a connection end there; without a listener they would end the process.
  server.on("sessionError", () => undefined);
  server.on("error", (error) => {
    observe({ type: "connection_broken", peer: "", reason: reasonOf(error) });
  });
}

/** Why a handshake failed: what was wrong with the client's certificate, where that is the reason. */
function refusalReason(error: Error, socket: TLSSocket): string {
  // Node's types promise an Error; it is OpenSSL's name of the problem.
  const problem: unknown = socket.authorizationError;
  if (typeof problem !== "string") return reasonOf(error);
  return `client certificate refused: ${problem}`;
}

function peerOf(socket: TLSSocket): string {
  return `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
}

async function listen(server: Http2SecureServer, host: string, port: number): Promise<void> {
  const failed = new AbortController();
  try {
    server.listen({ port, ...(host === "" ? {} : { host }) });
    await once(server, "listening", { signal: failed.signal });
  } catch (error) {
    throw new AppError("invalid_settings", `Cannot listen on ${host}:${port}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
