import { X509Certificate, createPrivateKey } from "node:crypto";
import { AppError } from "#core/errors.ts";

/** One set of files that belong together, as read. */
export interface TlsMaterial {
  /** The certificate with its chain, PEM. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** One or more authorities that the peer may be signed by, PEM. */
  readonly ca: Buffer;
  /** When the first certificate of the own chain ends, its authority included. Milliseconds since the Unix epoch. */
  readonly expiresAt: number;
  /** Every name that the own certificate is valid for, as in `DNS:server, IP Address:127.0.0.1`. */
  readonly names: string;
  /** Why peers that trust `ca` would not accept the own certificate; undefined when they would. */
  readonly problem: string | undefined;
}

/** Where the files are. */
export interface TlsPaths {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** The largest file that is read, in bytes. */
export const TLS_FILE_BYTES_MAX = 1_048_576;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Checks that the files are whole and belong together.
 *
 * @throws {AppError} `invalid_settings`, naming the file and what is wrong with it.
 */
export function parseTlsMaterial(
  paths: TlsPaths,
  files: Pick<TlsMaterial, "cert" | "key" | "ca">,
  now: number,
): TlsMaterial {
  const [leaf, ...chain] = certificates(paths.cert, files.cert);
  const authorities = certificates(paths.ca, files.ca);
  const key = readWith(paths.key, "not a PEM private key", () => createPrivateKey(files.key));
  if (!leaf.checkPrivateKey(key)) {
    throw unusable(paths.cert, `does not belong to the key ${paths.key}`);
  }

  const authority = issuerOf(chain.at(-1) ?? leaf, authorities);
  const all = [leaf, ...chain, ...(authority === undefined ? [] : [authority])];
  return {
    ...files,
    expiresAt: Math.min(...all.map(({ validToDate }) => validToDate.getTime())),
    names: leaf.subjectAltName ?? "",
    problem: problemOf(leaf, authority, all, now),
  };
}

/** An AppError that names the file. */
export function unusable(path: string, reason: string, cause?: unknown): AppError {
  return new AppError("invalid_settings", `Cannot use ${path}: ${reason}`, { cause });
}

function certificates(path: string, pem: Buffer): [X509Certificate, ...X509Certificate[]] {
  const [first, ...others] = pem.toString("latin1").match(CERTIFICATE) ?? [];
  if (first === undefined) throw unusable(path, "no PEM certificate in it");
  const parse = (text: string): X509Certificate =>
    readWith(path, "not a PEM certificate", () => new X509Certificate(text));
  return [parse(first), ...others.map(parse)];
}

function readWith<T>(path: string, reason: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw unusable(path, reason, error);
  }
}

/** Names alone don't tell an old authority from a new one of the same name; the signature does. */
function issuerOf(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): X509Certificate | undefined {
  return authorities.find(
    (authority) =>
      authority.fingerprint256 === certificate.fingerprint256 ||
      (certificate.checkIssued(authority) && certificate.verify(authority.publicKey)),
  );
}

function problemOf(
  leaf: X509Certificate,
  authority: X509Certificate | undefined,
  all: readonly X509Certificate[],
  now: number,
): string | undefined {
  if (authority === undefined) return "not signed by an authority in the CA file";
  if (all.some(({ validToDate }) => validToDate.getTime() <= now)) return "expired";
  if (all.some(({ validFromDate }) => validFromDate.getTime() > now)) return "not valid yet";
  if (leaf.subjectAltName === undefined) return "without subject alternative names";
  return undefined;
}
