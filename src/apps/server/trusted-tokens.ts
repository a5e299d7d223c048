import type { TokenKeys } from "#core/feed/token-keys.ts";
import { followIssuer, type FollowIssuerOptions } from "#core/token/follow-issuer.ts";
import { readIssuer } from "#edges/kubernetes/issuer.ts";
import type { KubernetesConnection } from "#edges/kubernetes/request.ts";

export interface TrustedTokensOptions extends Pick<
  FollowIssuerOptions,
  "clock" | "random" | "observe"
> {
  readonly connection: KubernetesConnection;
  /** A token must be meant for one of them. */
  readonly audiences: readonly string[];
  readonly changed: () => void;
}

/** Which tokens of pods agents may believe: the cluster's own, meant for our audiences. */
export interface TrustedTokens {
  /** Undefined before the API server said so. */
  readonly keys: TokenKeys | undefined;
  /** Keeps them current until aborted. */
  run(signal: AbortSignal): Promise<never>;
}

/** Follows the API server's keys. */
export function trustedTokens({
  connection,
  audiences,
  changed,
  ...following
}: TrustedTokensOptions): TrustedTokens {
  let keys: TokenKeys | undefined;
  return {
    get keys() {
      return keys;
    },
    run: (signal) =>
      followIssuer({
        ...following,
        signal,
        read: (within) => readIssuer(connection, within),
        use: (issuer) => {
          keys = { ...issuer, audiences };
          changed();
        },
      }),
  };
}
