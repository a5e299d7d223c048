import http from "node:http";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { isConstant } from "#core/imds/constant-path.ts";

/** What the real metadata service answered. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Asks the real metadata service for a path that is allowed. */
export type AskUpstream = (path: string, signal: AbortSignal) => Promise<UpstreamAnswer>;

/** The way to the real metadata service. Disposing closes its connections, with what is asked on them. */
export interface MetadataUpstream extends Disposable {
  readonly ask: AskUpstream;
}

export interface UpstreamOptions {
  /** `--metadata-endpoint`, without a slash at its end. */
  readonly endpoint: string;
  readonly clock: Clock;
}

const WITHIN_MS = 2_000;
const BODY_MAX = 65_536;
const SOCKETS_MAX = 8;
/** Different paths that are asked for at once; a pod that wants more at a time wants no metadata. */
const ASKING_MAX = 32;
const CACHED_MS = 5_000;
const CACHED_MAX = 256;
const TOKEN_TTL_SECONDS = 21_600;

/**
 * Requests of our own to the metadata service: GET, the given path, our token and nothing of the
 * client's. Equal questions share one request, since the link-local services of a node are limited in
 * packets, and answers are kept: for a few seconds, or for good where the value is constant. A failure
 * of the service is not kept.
 *
 * Asking fails with `server_unavailable`, and with `overloaded` beyond `ASKING_MAX` questions at once.
 */
export function metadataUpstream({ endpoint, clock }: UpstreamOptions): MetadataUpstream {
  const stop = new AbortController();
  const agent = new http.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  const cached = new Map<string, { until: number; readonly answer: Promise<UpstreamAnswer> }>();
  let asking = 0;

  const ask = async (path: string): Promise<UpstreamAnswer> => {
    // A node that has no IMDSv2 refuses the PUT; then the first version is what there is.
    const token = await send(`${endpoint}/latest/api/token`, agent, {
      signal: stop.signal,
      method: "PUT",
      headers: { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_TTL_SECONDS) },
    });
    return send(`${endpoint}${encodeURI(path)}`, agent, {
      signal: stop.signal,
      method: "GET",
      headers: token.status === 200 ? { "x-aws-ec2-metadata-token": token.body } : {},
    });
  };

  /** What is kept of an answer, and for how long, once it is there. */
  const keep = async (path: string): Promise<UpstreamAnswer> => {
    asking += 1;
    try {
      const answer = await ask(path);
      const known = cached.get(path);
      if (answer.status >= 500) cached.delete(path);
      else if (answer.status === 200 && isConstant(path) && known !== undefined) {
        known.until = Number.POSITIVE_INFINITY;
      }
      return answer;
    } catch (error) {
      cached.delete(path);
      throw error;
    } finally {
      asking -= 1;
    }
  };

  const askOnce: AskUpstream = async (path, signal) => {
    const now = clock.now();
    const known = cached.get(path);
    if (known !== undefined && known.until > now) return await known.answer;
    signal.throwIfAborted();
    if (asking >= ASKING_MAX) {
      throw new AppError(
        "overloaded",
        "The node's metadata service is asked for too much at once.",
      );
    }
    cached.delete(path);
    const [oldest] = cached.keys();
    if (cached.size >= CACHED_MAX && oldest !== undefined) cached.delete(oldest);
    const answer = keep(path);
    cached.set(path, { until: now + CACHED_MS, answer });
    return await answer;
  };
  return {
    ask: askOnce,
    [Symbol.dispose]() {
      // What waits for a connection is still given one, and none of these is kept either.
      agent.maxFreeSockets = 0;
      stop.abort(new Error("the agent has stopped"));
      agent.destroy();
    },
  };
}

function send(
  url: string,
  agent: http.Agent,
  {
    signal: stop,
    ...options
  }: { signal: AbortSignal; method: string; headers: Record<string, string> },
): Promise<UpstreamAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
  const fail = (cause: unknown): void =>
    reject(new AppError("server_unavailable", "the metadata service cannot be reached", { cause }));
  // In all, the wait for a socket included.
  const signal = AbortSignal.any([stop, AbortSignal.timeout(WITHIN_MS)]);
  const request = http.request(url, { agent, signal, ...options }, (response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      body += text;
      if (body.length > BODY_MAX) request.destroy(new Error("the answer is too long"));
    });
    response.on("end", () =>
      resolve({
        status: response.statusCode ?? 502,
        contentType: response.headers["content-type"] ?? "text/plain",
        body,
      }),
    );
    response.on("error", fail);
  });
  request.on("error", fail);
  request.end();
  return promise;
}
