import { Agent, request, type IncomingHttpHeaders } from "node:http";
import type { Clock } from "#core/clock.ts";

/** What the real metadata service answered. 502 stands for one that cannot be reached or used. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The one request besides GET: Kiam's passing-on of a token request, in its compatible mode. */
export interface TokenPut {
  readonly ttlSeconds: string | undefined;
}

/** Asks the real metadata service for a path; what the pod sent besides it never goes along. */
export type AskUpstream = (
  path: string,
  signal: AbortSignal,
  put?: TokenPut,
) => Promise<UpstreamAnswer>;

export interface UpstreamOptions {
  /** Tests hand in a loopback address, always. */
  readonly endpoint?: string;
  readonly clock: Clock;
  /** For one request, milliseconds. */
  readonly timeoutMs?: number;
  /** How long an answer is repeated, milliseconds. */
  readonly cacheMs?: number;
}

const BODY_MAX_BYTES = 65_536;
const CACHED_MAX = 256;
const IN_FLIGHT_MAX = 256;
const TOKEN_TTL_SECONDS = 21_600;
/** Our token is renewed this long before its end. */
const TOKEN_SPARE_MS = 60_000;
/** After a refused token request: how long IMDSv1 is used before another try. */
const WITHOUT_TOKEN_MS = 60_000;
const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN = "x-aws-ec2-metadata-token";
const HEADERS_PASSED = ["content-type", "last-modified", "etag", TTL] as const;
const UNREACHABLE: UpstreamAnswer = { status: 502, headers: {}, body: "" };

/**
 * A reader of the real metadata service: requests of our own making, with a token of our own
 * (IMDSv1 where it has none), bounded, cached for a moment and shared by all who ask meanwhile.
 */
export function metadataUpstream(options: UpstreamOptions): AskUpstream {
  const {
    endpoint = "http://169.254.169.254",
    clock,
    timeoutMs = 2_000,
    cacheMs = 1_000,
  } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: 16, maxFreeSockets: 2 });
  const cached = new Map<string, { readonly answer: UpstreamAnswer; readonly until: number }>();
  const flights = new Map<string, Promise<UpstreamAnswer>>();
  let token: { readonly text: string; readonly until: number } | undefined;

  const send = (
    method: string,
    path: string,
    headers: Record<string, string>,
  ): Promise<UpstreamAnswer> => exchange({ agent, endpoint, method, path, headers, timeoutMs });

  async function ownToken(): Promise<string> {
    if (token !== undefined && clock.now() < token.until) return token.text;
    const { status, body } = await send("PUT", "/latest/api/token", {
      [TTL]: String(TOKEN_TTL_SECONDS),
    });
    const isGiven = status === 200 && /^[\x21-\x7e]+$/.test(body);
    token = isGiven
      ? { text: body, until: clock.now() + TOKEN_TTL_SECONDS * 1_000 - TOKEN_SPARE_MS }
      : { text: "", until: clock.now() + WITHOUT_TOKEN_MS };
    return token.text;
  }

  async function get(path: string): Promise<UpstreamAnswer> {
    const text = await ownToken();
    const answer = await send("GET", path, text === "" ? {} : { [TOKEN]: text });
    if (answer.status !== 401) return answer;
    // The service no longer takes our token, or now asks for one.
    token = undefined;
    const renewed = await ownToken();
    return send("GET", path, renewed === "" ? {} : { [TOKEN]: renewed });
  }

  function flightOf(path: string): Promise<UpstreamAnswer> {
    const running = flights.get(path);
    if (running !== undefined) return running;
    if (flights.size >= IN_FLIGHT_MAX) return Promise.resolve(UNREACHABLE);
    const flight = get(path)
      .catch(() => UNREACHABLE)
      .then((answer) => {
        flights.delete(path);
        if (answer.status < 500) remember(path, answer);
        return answer;
      });
    flights.set(path, flight);
    return flight;
  }

  function remember(path: string, answer: UpstreamAnswer): void {
    cached.delete(path);
    const oldest = cached.keys().next().value;
    if (cached.size >= CACHED_MAX && oldest !== undefined) cached.delete(oldest);
    cached.set(path, { answer, until: clock.now() + cacheMs });
  }

  return async (path, signal, put) => {
    signal.throwIfAborted();
    if (put !== undefined) {
      const headers = put.ttlSeconds === undefined ? {} : { [TTL]: put.ttlSeconds };
      return send("PUT", path, headers).catch(() => UNREACHABLE);
    }
    const held = cached.get(path);
    if (held !== undefined && clock.now() < held.until) return held.answer;
    return orLeft(flightOf(path), signal);
  };
}

interface Exchange {
  readonly agent: Agent;
  readonly endpoint: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly timeoutMs: number;
}

function exchange(options: Exchange): Promise<UpstreamAnswer> {
  const { agent, endpoint, method, path, headers, timeoutMs } = options;
  return new Promise((resolve, reject) => {
    const base = new URL(endpoint);
    const asked = request({
      agent,
      method,
      host: base.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: base.port === "" ? 80 : Number(base.port),
      path: encodeURI(path),
      headers: { ...headers, ...(method === "PUT" ? { "Content-Length": "0" } : {}) },
      signal: AbortSignal.timeout(timeoutMs),
    });
    asked.on("error", reject);
    asked.on("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("error", reject);
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > BODY_MAX_BYTES) asked.destroy(new Error("answer too long"));
        else chunks.push(chunk);
      });
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 502, headers: passed(response.headers), body });
      });
    });
    asked.end();
  });
}

function passed(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    HEADERS_PASSED.flatMap((name) => {
      const value = headers[name];
      return typeof value === "string" ? [[name, value]] : [];
    }),
  );
}

/** The answer, unless the caller leaves first; the flight goes on for the others. */
async function orLeft<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: left, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([promise, left]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
