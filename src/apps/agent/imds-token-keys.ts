import { createHmac } from "node:crypto";
import type { Clock } from "#core/clock.ts";
import { type Mac, TOKEN_TTL } from "#core/imds/token.ts";
import type { TlsFiles } from "#edges/rpc/tls-files.ts";

export interface ImdsTokenKeysOptions {
  readonly tls: {
    readonly current: Pick<TlsFiles["current"], "key">;
    readonly subscribe: TlsFiles["subscribe"];
  };
  readonly clock: Clock;
}

/** The keys of session tokens: the first one signs, each one verifies. */
export interface ImdsTokenKeys extends Disposable {
  macs(): readonly [Mac, ...Mac[]];
}

/** Further replacements within a token's longest life end the oldest key's tokens early. */
const FORMER_MAX = 4;

/**
 * Derived from the TLS key, which outlives this process: so a token that a pod holds outlives it too,
 * and the next process, or another one beside it, accepts it.
 *
 * When the TLS key is replaced, the new one signs at once and the former ones verify for as long as a
 * token of theirs can live. A process that starts after that never saw them, and accepts what the new
 * key signed.
 */
export function imdsTokenKeys({ tls, clock }: ImdsTokenKeysOptions): ImdsTokenKeys {
  let source = tls.current.key;
  let current = macOf(source);
  let former: readonly { readonly mac: Mac; readonly until: number }[] = [];
  const subscription = tls.subscribe(() => {
    // A new certificate of the same key changes nothing.
    if (tls.current.key.equals(source)) return;
    const until = clock.now() + TOKEN_TTL.most * 1_000;
    former = [{ mac: current, until }, ...former].slice(0, FORMER_MAX);
    source = tls.current.key;
    current = macOf(source);
  });
  return {
    macs() {
      if (former.length > 0) former = former.filter(({ until }) => until > clock.now());
      return [current, ...former.map(({ mac }) => mac)];
    },
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  };
}

function macOf(source: Buffer): Mac {
  const key = createHmac("sha256", source).update("imds-token key").digest();
  return (text) => createHmac("sha256", key).update(text).digest("base64url");
}
