import { asRecord, asText, type JsonRecord } from "../json.ts";

/** The signatures that are verified: asymmetric ones alone, so no public key can pass for a secret. */
const ALGORITHMS = {
  RS256: { kty: "RSA" },
  RS384: { kty: "RSA" },
  RS512: { kty: "RSA" },
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  ES512: { kty: "EC", crv: "P-521" },
} as const;

export type TokenAlgorithm = keyof typeof ALGORITHMS;

/** One public key of the issuer, with the members of its JSON Web Key that are used (RFC 7518 §6). */
export type TokenKey =
  | { readonly kid: string; readonly kty: "RSA"; readonly n: string; readonly e: string }
  | {
      readonly kid: string;
      readonly kty: "EC";
      readonly crv: "P-256" | "P-384" | "P-521";
      readonly x: string;
      readonly y: string;
    };

/** 2 048 bits in base64url: what is shorter can be factored by whoever pays for it. */
const RSA_MODULUS_LENGTH_MIN = 342;
const RSA_MODULUS_LENGTH_MAX = 1_366;

export function isAlgorithm(name: unknown): name is TokenAlgorithm {
  return typeof name === "string" && Object.hasOwn(ALGORITHMS, name);
}

/** Whether a key may verify an algorithm: the key decides, and not the token. */
export function fits(key: TokenKey, algorithm: TokenAlgorithm): boolean {
  const wanted = ALGORITHMS[algorithm];
  return key.kty === wanted.kty && (key.kty === "RSA" || key.crv === curveOf(wanted));
}

/** A JSON Web Key, of which only what is used is kept; undefined for one that can't be used. */
export function readTokenKey(text: string): TokenKey | undefined {
  try {
    return readFields(asRecord(JSON.parse(text)));
  } catch {
    return undefined;
  }
}

function readFields(key: JsonRecord): TokenKey | undefined {
  const { kty, crv } = key;
  const kid = asText(key["kid"]);
  const isForSignatures = key["use"] === undefined || key["use"] === "sig";
  if (kid === "" || !isForSignatures) return undefined;
  if (kty === "RSA") {
    const [n, e] = [asText(key["n"]), asText(key["e"])];
    const isSized = n.length >= RSA_MODULUS_LENGTH_MIN && n.length <= RSA_MODULUS_LENGTH_MAX;
    return isSized && e !== "" ? { kid, kty, n, e } : undefined;
  }
  const [x, y] = [asText(key["x"]), asText(key["y"])];
  const isCurve = crv === "P-256" || crv === "P-384" || crv === "P-521";
  return kty === "EC" && isCurve && x !== "" && y !== "" ? { kid, kty, crv, x, y } : undefined;
}

function curveOf(wanted: (typeof ALGORITHMS)[TokenAlgorithm]): string | undefined {
  return "crv" in wanted ? wanted.crv : undefined;
}
