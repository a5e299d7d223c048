import type { AppError } from "#core/errors.ts";

/** What happens to the rules. */
export type InterceptionEvent =
  | { readonly type: "added" }
  | { readonly type: "present" }
  | { readonly type: "restored" }
  | { readonly type: "removed" }
  /** This kernel can't look into frames that pass a bridge from port to port. */
  | { readonly type: "bridges_open"; readonly reason: string }
  /** The kernel doesn't tell of removals: they are found by looking only. */
  | { readonly type: "unwatched"; readonly reason: string }
  | { readonly type: "failed"; readonly error: AppError }
  /** What was asked as a pod asks came to this agent. `ms`: how long that took to find out. */
  | { readonly type: "proved"; readonly ms: number }
  /** It did not; `found` says what came of it instead, for each address. */
  | { readonly type: "unproved"; readonly found: readonly string[] }
  /** Nothing can be asked so here. */
  | { readonly type: "unprovable"; readonly reason: string };

/**
 * The rules that bring pods' requests to the agent, made with one program. Each function throws
 * {@link AppError} `invalid_settings` saying what is missing: the program, or a capability.
 */
export interface InterceptionRules {
  /** How `nft monitor` tells that a rule like one of these was deleted, whose it may be. */
  readonly removal: RegExp;
  /** Whether rules like these stand, be they this agent's or those of one before it. */
  stand(signal: AbortSignal): Promise<boolean>;
  /** Whether these rules stand unchanged, or an agent that started later put its own in their place. */
  areIntact(signal: AbortSignal): Promise<boolean>;
  /**
   * Puts these rules in place; to be called where they don't stand, or are not intact. What was there before is
   * replaced at once or not at all.
   */
  apply(signal: AbortSignal): Promise<void>;
  /** Removes them. Without them pods reach the node's own role whenever no agent runs. */
  remove(signal: AbortSignal): Promise<void>;
}
