import { asRecord, type JsonRecord } from "../json.ts";
import { isAlgorithm, type TokenAlgorithm } from "./token-key.ts";

/** A token taken apart. Nothing in it is true before its signature was verified. */
export interface SignedToken {
  readonly algorithm: TokenAlgorithm;
  readonly keyId: string;
  readonly claims: JsonRecord;
  /** The bytes that were signed, all of them ASCII. */
  readonly signedText: string;
  readonly signature: Uint8Array;
}

/** The longest token that is looked at, in characters: a projected token has some 1 200. */
const TOKEN_LENGTH_MAX = 8_192;

/** No base64 of our own reading: what is outside this alphabet has no business in a token. */
const FORM = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Takes a JSON Web Token in its compact form apart (RFC 7515 §3.1), reading only what Kubernetes
 * writes; undefined for everything else: another algorithm (`none` and every keyed MAC among them), no key
 * ID, extensions that must be understood, or a second spelling of the same bytes.
 */
export function parseSignedToken(text: string): SignedToken | undefined {
  if (text.length > TOKEN_LENGTH_MAX || !FORM.test(text)) return undefined;
  const [head = "", body = "", tail = ""] = text.split(".");
  const header = jsonOf(head);
  const claims = jsonOf(body);
  const signature = bytesOf(tail);
  if (header === undefined || claims === undefined || signature === undefined) return undefined;
  const { alg, kid, crit } = header;
  if (!isAlgorithm(alg) || typeof kid !== "string" || crit !== undefined) return undefined;
  const signedText = text.slice(0, head.length + 1 + body.length);
  return { algorithm: alg, keyId: kid, claims, signedText, signature };
}

function jsonOf(text: string): JsonRecord | undefined {
  const bytes = bytesOf(text);
  if (bytes === undefined) return undefined;
  try {
    return asRecord(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    return undefined;
  }
}

/** Strict, so that the bits which the last character has to spare can't spell one token twice. */
function bytesOf(text: string): Uint8Array | undefined {
  const padded = text.padEnd(Math.ceil(text.length / 4) * 4, "=");
  try {
    return Uint8Array.fromBase64(padded, {
      alphabet: "base64url",
      lastChunkHandling: "strict",
    });
  } catch {
    return undefined;
  }
}
