import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Clock, Random } from "#core/clock.ts";
import type { Pause } from "#core/backoff.ts";
import { AppError } from "#core/errors.ts";
import type { PodAnswers } from "#core/feed/pod-answers.ts";
import { KiamService } from "./gen/kiam/kiam_pb.ts";
import { hedge } from "./hedge.ts";
import type { Call } from "./hedge.ts";
import type { ClientKeepalive } from "./keepalive.ts";
import type { CallOptions } from "./link.ts";
import type { KiamClientEvent } from "./rpc-event.ts";
import { POD_UID, podUidHeaders } from "./pod-uid.ts";
import { parseHostPort } from "./server-address.ts";
import { ServerLines } from "./server-lines.ts";
import type { Resolve } from "./server-lines.ts";
import { reasonOf } from "./tls-peer.ts";
import type { TlsFiles } from "./tls-files.ts";
import { credentialsFromWire } from "./wire-credentials.ts";

export interface KiamServersOptions {
  /** `host:port`; every address of the host is a server, and the host is the name in their certificates. */
  readonly address: string;
  readonly tls: TlsFiles;
  readonly keepalive: ClientKeepalive;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends everything when it aborts. */
  readonly signal: AbortSignal;
  readonly observe: (event: KiamClientEvent) => void;
  /** All addresses of a name; the system's resolver by default. */
  readonly resolve?: Resolve;
  /** Milliseconds after which another server is asked too; 400 by default. */
  readonly attemptMs?: number;
  /** Milliseconds after which a call fails; 900 by default. */
  readonly totalMs?: number;
  /** Milliseconds between two resolutions of the name; 5 s by default. */
  readonly resolveMs?: number;
  /** Milliseconds that connecting to one server may take; 1 s by default. */
  readonly connectMs?: number;
  /** Pauses between connections that fail; 100 ms to 2 s by default. */
  readonly pause?: Pause;
}

/**
 * The servers behind one name. Calls throw AppErrors: what a server answered, `server_unavailable` when
 * none did, or the signal's reason when the caller's aborts.
 */
export interface KiamServers extends PodAnswers, AsyncDisposable {
  /** `ok` */
  health(signal: AbortSignal): Promise<string>;
  /** As they are, for a pod whose UID is told; but only of servers that mind it, which Kiam's don't. */
  readonly mindful: PodAnswers;
  /** The connections to them, for what else goes over these. */
  readonly lines: Pick<ServerLines, "links" | "onUp">;
  /** Why no server could be reached most lately (name, connection, certificate); undefined when nothing failed. */
  readonly lastError: string | undefined;
}

const { method } = KiamService;
const ATTEMPT_MS = 400;
const TOTAL_MS = 900;
const RESOLVE_MS = 5_000;
const CONNECT_MS = 1_000;
const PAUSE: Pause = { firstMs: 100, mostMs: 2_000 };

/**
 * Connects to every server behind the name, now and for ever, and shares the calls out between them.
 * Nothing that is down makes this throw.
 *
 * @throws {AppError} `invalid_settings` when the address has no host or can't be read.
 */
export function kiamServers(options: KiamServersOptions): KiamServers {
  const { host, port } = parseHostPort(options.address);
  if (host === "") {
    throw new AppError("invalid_settings", `Cannot use "${options.address}" as a server: no host`);
  }
  const { tls, signal, attemptMs = ATTEMPT_MS, totalMs = TOTAL_MS } = options;
  const lines = new ServerLines({
    ...options,
    host,
    port,
    resolve: options.resolve ?? lookupAll,
    resolveMs: options.resolveMs ?? RESOLVE_MS,
    pause: options.pause ?? PAUSE,
    connectMs: options.connectMs ?? CONNECT_MS,
  });
  const reload = tls.subscribe(() => lines.hurry());
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    signal.removeEventListener("abort", closeOnAbort);
    reload[Symbol.dispose]();
    closed ??= lines[Symbol.asyncDispose]();
    return closed;
  };
  // Closing never rejects: each part of it catches its own.
  const closeOnAbort = (): void => void close();
  signal.addEventListener("abort", closeOnAbort, { once: true });
  if (signal.aborted) closeOnAbort();

  const call: CallServers = (one, caller) =>
    hedge(one, { ...options, lines, attemptMs, totalMs, caller });
  return {
    ...answersBy(call, ofAnyServer),
    mindful: answersBy(call, ofMindfulServer),
    health: (caller) =>
      call(
        {
          method: "GetHealth",
          ask: async (link, how) => (await link.unary(method.getHealth, {}, how)).message,
        },
        caller,
      ),
    lines,
    get lastError() {
      return lines.lastError === undefined ? undefined : reasonOf(lines.lastError);
    },
    [Symbol.asyncDispose]: close,
  };
}

type CallServers = <T>(one: Call<T>, caller: AbortSignal) => Promise<T>;

function answersBy(call: CallServers, about: AskAbout): PodAnswers {
  return {
    role: (address, caller, podUid) =>
      call(
        {
          method: "GetPodRole",
          headers: podUidHeaders(podUid),
          ask: (link, how) =>
            about(podUid, how, async (heard) => {
              const { name } = await link.unary(method.getPodRole, { ip: address }, heard);
              return name;
            }),
        },
        caller,
      ),
    credentials: (address, role, caller, podUid) =>
      call(
        {
          method: "GetPodCredentials",
          headers: podUidHeaders(podUid),
          ask: (link, how) =>
            about(podUid, how, async (heard) => {
              const asked = { ip: address, role };
              return credentialsFromWire(await link.unary(method.getPodCredentials, asked, heard));
            }),
        },
        caller,
      ),
  };
}

/** Asks about the pod with a UID. */
type AskAbout = <T>(
  podUid: string | undefined,
  how: CallOptions,
  ask: (how: CallOptions) => Promise<T>,
) => Promise<T>;

const ofAnyServer: AskAbout = (_podUid, how, ask) => ask(how);

/** An answer that does not say that it minds the pod's UID is about whoever had the address before, for all one knows. */
const ofMindfulServer: AskAbout = async (podUid, how, ask) => {
  let minded: unknown;
  const answer = await ask({ ...how, onHeaders: (headers) => (minded = headers[POD_UID]) });
  if (minded === podUid) return answer;
  throw new AppError("server_unavailable", "The server does not mind which pod has the address.");
};

async function lookupAll(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address);
}
