import http from "node:http";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";

/** What the real metadata service answered. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Asks the real metadata service for a path that is allowed. */
export type AskUpstream = (path: string, signal: AbortSignal) => Promise<UpstreamAnswer>;

export interface UpstreamOptions {
  /** `--metadata-endpoint`, without a slash at its end. */
  readonly endpoint: string;
  readonly clock: Clock;
}

const WITHIN_MS = 2_000;
const BODY_MAX = 65_536;
const SOCKETS_MAX = 8;
const CACHED_MS = 5_000;
const CACHED_MAX = 256;
const TOKEN_TTL_SECONDS = 21_600;

/**
 * Requests of our own to the metadata service: GET, the given path, our token and nothing of the
 * client's. Answers are kept for a few seconds and equal questions share one request, since the
 * link-local services of a node are limited in packets.
 *
 * Fails with `server_unavailable`.
 */
export function metadataUpstream({ endpoint, clock }: UpstreamOptions): AskUpstream {
  const agent = new http.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  const cached = new Map<string, { until: number; answer: Promise<UpstreamAnswer> }>();

  const ask = async (path: string): Promise<UpstreamAnswer> => {
    // A node that has no IMDSv2 refuses the PUT; then the first version is what there is.
    const token = await send(`${endpoint}/latest/api/token`, agent, {
      method: "PUT",
      headers: { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_TTL_SECONDS) },
    });
    return send(`${endpoint}${encodeURI(path)}`, agent, {
      method: "GET",
      headers: token.status === 200 ? { "x-aws-ec2-metadata-token": token.body } : {},
    });
  };

  return async (path, signal) => {
    const now = clock.now();
    const known = cached.get(path);
    if (known !== undefined && known.until > now) return await known.answer;
    signal.throwIfAborted();
    cached.delete(path);
    const [oldest] = cached.keys();
    if (cached.size >= CACHED_MAX && oldest !== undefined) cached.delete(oldest);
    const answer = ask(path);
    cached.set(path, { until: now + CACHED_MS, answer });
    answer.catch(() => cached.delete(path));
    return await answer;
  };
}

function send(
  url: string,
  agent: http.Agent,
  options: { method: string; headers: Record<string, string> },
): Promise<UpstreamAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
  const fail = (cause: unknown): void =>
    reject(new AppError("server_unavailable", "the metadata service cannot be reached", { cause }));
  const request = http.request(url, { agent, timeout: WITHIN_MS, ...options }, (response) => {
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
  request.on("timeout", () => request.destroy(new Error("no answer in time")));
  request.on("error", fail);
  request.end();
  return promise;
}
