import { mkdtemp, rm } from "node:fs/promises";
import { connect, constants } from "node:http2";
import type { ClientHttp2Session, SecureClientSessionOptions } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import { serveKiam } from "#edges/rpc/kiam-server.ts";
import type { KiamServer } from "#edges/rpc/kiam-server.ts";
import type { FollowNode, TakeDispute } from "#edges/rpc/feed-service.ts";
import type { KiamHandlers } from "#edges/rpc/kiam-service.ts";
import type { ServerKeepalive } from "#edges/rpc/keepalive.ts";
import { type KiamServers, kiamServers, type KiamServersOptions } from "#edges/rpc/kiam-client.ts";
import type { KiamClientEvent, KiamServerEvent } from "#edges/rpc/rpc-event.ts";
import { watchTlsFiles } from "#edges/rpc/tls-files.ts";
import type { TlsFiles, TlsFilesEvent } from "#edges/rpc/tls-files.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { createAuthority, writeTlsFolder } from "./certificates.ts";
import type { Authority, IssueOptions } from "./certificates.ts";

/** The name that the servers of these tests have in their certificates. */
export const SERVER_NAME = "kiam-server";

/** Kiam's defaults. */
export const SERVER_KEEPALIVE: ServerKeepalive = {
  timeMs: 10_000,
  timeoutMs: 2_000,
  idleMs: 900_000,
  ageMs: 900_000,
  ageGraceMs: 900_000,
};

/** Remembers events and lets a test wait for one. */
export class Events<E extends { readonly type: string }> {
  readonly seen: E[] = [];
  #waiting: (() => void)[] = [];

  readonly observe = (event: E): void => {
    this.seen.push(event);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  /** The first event of the type, after `skip` others of it. The test's timeout bounds the wait. */
  async first<T extends E["type"]>(type: T, skip = 0): Promise<Extract<E, { type: T }>> {
    for (;;) {
      const found = this.seen.filter((event) => event.type === type)[skip];
      if (found !== undefined) return found as Extract<E, { type: T }>;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }
}

/** Certificate files in a folder of their own, an authority, and a way to start servers with them. */
export async function rpcWorld() {
  const folder = await mkdtemp(join(tmpdir(), "rolecall-rpc-"));
  const resources = new AsyncDisposableStack();
  const stop = new AbortController();
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  resources.defer(() => stop.abort());
  const authority = await createAuthority();
  let count = 0;

  const filesFor = async (
    options: IssueOptions,
    {
      signer = authority,
      trusted = [authority],
    }: { signer?: Authority; trusted?: Authority[] } = {},
  ) => {
    count += 1;
    const dir = join(folder, `tls-${count}`);
    const issued = await signer.issue(options);
    const paths = await writeTlsFolder(dir, { ...issued, ca: trusted.map(({ cert }) => cert) });
    return { dir, issued, paths };
  };
  const tlsFor = async (
    options: IssueOptions,
    signers: { signer?: Authority; trusted?: Authority[] } = {},
  ): Promise<TlsFiles & { readonly dir: string; readonly events: Events<TlsFilesEvent> }> => {
    const { dir, paths } = await filesFor(options, signers);
    const events = new Events<TlsFilesEvent>();
    const { signal } = stop;
    const { observe } = events;
    const tls = await watchTlsFiles({ ...paths, clock: systemClock, signal, observe, pollMs: 50 });
    return {
      get current() {
        return tls.current;
      },
      get expiresAt() {
        return tls.expiresAt;
      },
      subscribe: (listener) => tls.subscribe(listener),
      dir,
      events,
    };
  };
  const serverTls = await tlsFor({ names: [SERVER_NAME], addresses: ["127.0.0.1"] });
  const clientTls = await tlsFor({ names: ["agent"], server: false });

  return {
    authority,
    filesFor,
    tlsFor,
    serverTls,
    clientTls,
    signal: stop.signal,
    resources,
    async serve(
      handlers: Partial<KiamHandlers>,
      {
        keepalive = {},
        tls = serverTls,
        clock = systemClock,
        host = "127.0.0.1",
        port = 0,
        drainMs = 1_000,
        connectionsMax = 100,
        follow,
        takeDispute,
      }: {
        keepalive?: Partial<ServerKeepalive>;
        tls?: TlsFiles;
        clock?: Clock;
        host?: string;
        port?: number;
        drainMs?: number;
        connectionsMax?: number;
        follow?: FollowNode;
        takeDispute?: TakeDispute;
      } = {},
    ): Promise<KiamServer & { readonly events: Events<KiamServerEvent> }> {
      const events = new Events<KiamServerEvent>();
      const server = await serveKiam({
        bind: `${host}:${port}`,
        tls,
        handlers: { ...NO_HANDLERS, ...handlers },
        follow,
        takeDispute,
        keepalive: { ...SERVER_KEEPALIVE, ...keepalive },
        clock,
        random: () => 0.5,
        signal: stop.signal,
        observe: events.observe,
        drainMs,
        connectionsMax,
      });
      resources.use(server);
      return { ...server, [Symbol.asyncDispose]: server[Symbol.asyncDispose], events };
    },
    /** An agent's connections to the servers behind a name, which stands for these addresses and one port. */
    dialServers(
      port: number,
      addresses: () => readonly string[],
      options: Partial<KiamServersOptions> = {},
    ): KiamServers & { readonly events: Events<KiamClientEvent> } {
      const events = new Events<KiamClientEvent>();
      const servers = kiamServers({
        address: `${SERVER_NAME}:${port}`,
        tls: clientTls,
        keepalive: { timeMs: 10_000, timeoutMs: 2_000 },
        clock: systemClock,
        random: () => 0.5,
        signal: stop.signal,
        observe: events.observe,
        resolve: async () => addresses(),
        ...options,
      });
      resources.use(servers);
      return Object.assign(servers, { events });
    },
    /** A bare HTTP/2 client with the world's client certificate. */
    dial(port: number, options: SecureClientSessionOptions = {}): ClientHttp2Session {
      const { cert, key, ca } = clientTls.current;
      const session = connect(`https://127.0.0.1:${port}`, { cert, key, ca, ...options });
      session.on("error", () => undefined);
      resources.defer(() => session.destroy());
      return session;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

const unexpected = (): Promise<never> => Promise.reject(new Error("not expected by this test"));
const NO_HANDLERS: KiamHandlers = {
  role: unexpected,
  credentials: unexpected,
  health: async () => "ok",
};

/** What came back for one call, as bytes and fields. */
export interface RawAnswer {
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
  /** The message without its five bytes of envelope, hexadecimal; undefined when none came. */
  readonly message: string | undefined;
}

/** Makes one unary call with hand-made bytes, with the headers that Go's client sends. */
export function rawCall(
  session: ClientHttp2Session,
  path: string,
  message: Buffer,
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    "user-agent": "grpc-go/1.36.0",
    ...headers,
  });
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([envelope, message]));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    stream.on("response", (fields) => (received = { ...fields }));
    stream.on("trailers", (fields) => (trailers = { ...fields }));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || received[":status"] === undefined) {
        reject(new Error(`stream closed with ${stream.rstCode}`));
        return;
      }
      const body = Buffer.concat(chunks);
      const bytes = body.length >= 5 ? body.subarray(5).toString("hex") : undefined;
      resolve({ headers: received, trailers, message: bytes });
    });
  });
}

/** A protobuf message of string fields, encoded by hand. */
export function protobuf(fields: Record<number, string>): Buffer {
  return Buffer.concat(
    Object.entries(fields).map(([number, text]) => {
      const bytes = Buffer.from(text);
      if (bytes.length > 127) throw new Error("one byte of length is enough for these tests");
      return Buffer.concat([Buffer.from([(Number(number) << 3) | 2, bytes.length]), bytes]);
    }),
  );
}

/** The bytes of a text, in hexadecimal digits. */
export function hex(text: string): string {
  return Buffer.from(text).toString("hex");
}

/** A string field as protobuf writes it, in hexadecimal digits: tag, length, bytes. */
export function field(tag: string, text: string): string {
  return `${tag}${text.length.toString(16).padStart(2, "0")}${hex(text)}`;
}
