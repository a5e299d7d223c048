/** How pods' service account tokens are verified, as the cluster's API server publishes it. */
export interface TokenKeys {
  readonly issuer: string;
  /** A token must be meant for one of them. */
  readonly audiences: readonly string[];
  /** JSON Web Keys (RFC 7517) as JSON, each with its `kid`. */
  readonly keys: readonly string[];
}

/**
 * How many keys are handed on and believed: an API server has one to three, its own and the ones before and after a
 * rotation. They travel in one message, which has a bound.
 */
export const TOKEN_KEYS_MAX = 32;
