import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { TokenAlgorithm } from "#core/token/token-key.ts";

/** The claims of a token, by name; undefined takes one away. */
export type Claims = Readonly<Record<string, unknown>>;

/** A pair of keys as an API server signs with. */
export interface SigningKey {
  readonly kid: string;
  readonly algorithm: TokenAlgorithm;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const ISSUER = "https://kubernetes.default.svc.cluster.local";

const CURVES: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };

/** Makes a pair of keys, named by a digest of the public one as the API server names them. */
export function signingKey(algorithm: TokenAlgorithm = "RS256"): SigningKey {
  const namedCurve = CURVES[algorithm];
  const { privateKey, publicKey } =
    namedCurve === undefined
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve });
  const kid = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
  return { kid, algorithm, privateKey, publicKey };
}

/** The JSON Web Key set of an API server with these keys. */
export function jwks(keys: readonly SigningKey[]) {
  return {
    keys: keys.map(({ kid, algorithm, publicKey }) => ({
      use: "sig",
      kid,
      alg: algorithm,
      ...publicKey.export({ format: "jwk" }),
    })),
  };
}

/** The same keys as a node feed brings them. */
export function published(keys: readonly SigningKey[]): readonly string[] {
  return jwks(keys).keys.map((key) => JSON.stringify(key));
}

/** The claims of a projected token, as Kubernetes 1.33 writes them. `now` is milliseconds. */
export function podClaims(now: number, changes: Claims = {}): Claims {
  const at = Math.floor(now / 1_000);
  return {
    aud: ["rolecall"],
    exp: at + 3_600,
    iat: at,
    iss: ISSUER,
    jti: "6d2b5a3c-2c7a-4b3e-8d2f-0c1a2b3c4d5e",
    nbf: at,
    sub: "system:serviceaccount:shop:cart",
    "kubernetes.io": {
      namespace: "shop",
      node: { name: "node-a", uid: "uid-node-a" },
      pod: { name: "cart", uid: "uid-1" },
      serviceaccount: { name: "cart", uid: "uid-cart" },
    },
    ...changes,
  };
}

/** Signs claims as the API server does. */
export function signToken(
  key: SigningKey,
  claims: unknown,
  header: Readonly<Record<string, unknown>> = {},
): string {
  const text = `${encoded({ alg: key.algorithm, kid: key.kid, ...header })}.${encoded(claims)}`;
  return `${text}.${signature(key, text).toString("base64url")}`;
}

/** One part of a token. */
export function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function signature({ algorithm, privateKey }: SigningKey, text: string): Buffer {
  const hash = `sha${algorithm.slice(2)}`;
  return sign(hash, Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" });
}
