import type { Clock, Random } from "#core/clock.ts";
import type { ErrorCode } from "#core/errors.ts";
import type { NodeTable } from "#core/feed/node-table.ts";
import type { MetadataAnswer } from "#core/imds/answers.ts";
import type { Tokens } from "#core/imds/token.ts";
import type { AskUpstream } from "#edges/http/metadata-upstream.ts";

/** Kiam's handler labels. */
export type MetadataHandler = "credentials" | "roleName" | "health" | "proxy";

/** What Kiam's counters tell apart. */
export type MetadataOutcome =
  | "success"
  | "empty_role"
  | "find_role_error"
  | "credential_fetch_error"
  | "blocked"
  | "error";

/** One request was answered, or its client left (status 499, which nobody receives). */
export interface MetadataEvent {
  readonly type: "answered";
  readonly handler: MetadataHandler;
  readonly status: number;
  readonly seconds: number;
  readonly outcome: MetadataOutcome;
  readonly address: string;
  readonly code: ErrorCode | undefined;
}

export interface MetadataEndpointOptions {
  readonly table: NodeTable;
  readonly tokens: Tokens;
  readonly upstream: AskUpstream;
  /** Whether the allow-list matches a decoded, normalised path. */
  readonly allow: (path: string) => boolean;
  /** The expression itself, for Kiam's refusal text. */
  readonly allowSource: string;
  readonly kiamCompatible: boolean;
  readonly requireImdsv2: boolean;
  readonly allowIpQuery: boolean;
  /** `ok`, or what is wrong with the server. */
  readonly serverHealth: (signal: AbortSignal) => Promise<string>;
  readonly clock: Clock;
  readonly random?: Random;
  readonly observe?: (event: MetadataEvent) => void;
}

/** A request as the routes see it. */
export interface MetadataRequest {
  readonly method: string;
  readonly target: string;
  readonly address: string;
  readonly token: string | undefined;
  readonly ttl: string | undefined;
  readonly isForwarded: boolean;
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal;
}

/** What a route says, and how it is counted; without a handler it isn't. */
export interface Answered {
  readonly answer: MetadataAnswer;
  readonly handler?: MetadataHandler;
  readonly outcome?: MetadataOutcome;
  readonly code?: ErrorCode;
}
