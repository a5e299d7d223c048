import { createPublicKey, type KeyObject, verify } from "node:crypto";
import type { VerifySignature } from "#core/token/pod-tokens.ts";
import type { TokenKey } from "#core/token/token-key.ts";

const HASHES = {
  RS256: "sha256",
  RS384: "sha384",
  RS512: "sha512",
  ES256: "sha256",
  ES384: "sha384",
  ES512: "sha512",
} as const;

/**
 * Makes a public key ready to verify signatures of JSON Web Tokens (RFC 7518 §3.3, §3.4); undefined for a key
 * that OpenSSL does not take. The parsing is done once: it costs more than a verification.
 */
export function jwkVerifier(jwk: TokenKey): VerifySignature | undefined {
  const key = publicKey(jwk);
  if (key === undefined) return undefined;
  // JOSE writes an ECDSA signature as two numbers of fixed size, OpenSSL as DER.
  const options = { key, dsaEncoding: "ieee-p1363" } as const;
  return (algorithm, signedText, signature) =>
    verify(HASHES[algorithm], Buffer.from(signedText, "latin1"), options, signature);
}

function publicKey(jwk: TokenKey): KeyObject | undefined {
  try {
    return createPublicKey({ key: { ...jwk }, format: "jwk" });
  } catch {
    return undefined;
  }
}
