import type { KnownPod, NodeTable } from "#core/feed/node-table.ts";
import type { Tokens } from "#core/imds/token.ts";
import type { Clock } from "#core/clock.ts";
import type { AppError } from "#core/errors.ts";
import type { HttpHeaders } from "#edges/http/http-message.ts";
import type { AskUpstream } from "#edges/http/metadata-upstream.ts";

/** Kiam's names for its handlers, as its metrics carry them. */
export type HandlerLabel = "credentials" | "roleName" | "health" | "proxy";

/** What an answer was, for logs and metrics. */
export interface AnsweredEvent {
  /** Undefined for what Kiam does not count: pings and tokens. */
  readonly handler: HandlerLabel | undefined;
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly status: number;
  readonly ms: number;
  /** Why it is no success; undefined when it is one. */
  readonly error: AppError | undefined;
  readonly isBlocked: boolean;
}

/** One request of a pod, as far as answers depend on it. */
export interface MetadataRequest {
  readonly method: string;
  /** The request target as it came. */
  readonly target: string;
  /** The pod's address, in its one spelling. */
  readonly address: string;
  readonly headers: HttpHeaders;
  readonly signal: AbortSignal;
}

/** What answers are made of. */
export interface EndpointParts {
  readonly table: Pick<NodeTable, "role" | "listedRole" | "credentials">;
  readonly podAt: (address: string) => Promise<KnownPod>;
  readonly tokens: Pick<Tokens, "issue" | "isValid">;
  readonly upstream: AskUpstream;
  /** `--allow-route-regexp`, compiled. */
  readonly allow: (path: string) => boolean;
  readonly allowSource: string;
  /** `--require-imdsv2`: every pod needs a session token, whatever its namespace says. */
  readonly requireImdsv2: boolean;
  /** `ok`, or an AppError saying why no server answers. */
  readonly serverHealth: (signal: AbortSignal) => Promise<string>;
  readonly clock: Clock;
}
