import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";

import { createAuthority } from "#test/certificates.ts";

const LIFE_MS = 24 * 60 * 60 * 1_000;

/** A certificate and its key, as files in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** The file of the authority's own certificate. */
  readonly certificate: string;
  /** Writes a certificate and its key. `names` are DNS names and IP addresses. */
  issue(file: string, subject: string, names: readonly string[]): Promise<Certificate>;
}

/** Makes a certificate authority whose files, and those of what it issues, are in `folder`. */
export async function makeAuthority(folder: string, name: string): Promise<Authority> {
  const authority = await createAuthority(name);
  const certificate = join(folder, `${name}.crt`);
  await writeFile(certificate, authority.cert);
  return {
    certificate,
    issue: async (file, subject, names) => {
      const { cert, key } = await authority.issue({
        subject,
        names: names.filter((value) => isIP(value) === 0),
        addresses: names.filter((value) => isIP(value) !== 0),
        notAfter: Date.now() + LIFE_MS,
      });
      const paths = { certificate: join(folder, `${file}.crt`), key: join(folder, `${file}.key`) };
      await writeFile(paths.certificate, cert);
      await writeFile(paths.key, key, { mode: 0o600 });
      return paths;
    },
  };
}

/** A key pair for the tokens of service accounts, as files in PEM. */
export async function makeTokenKeys(
  folder: string,
): Promise<{ readonly secret: string; readonly open: string }> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const paths = { secret: join(folder, "tokens.key"), open: join(folder, "tokens.pub") };
  const secret = privateKey.export({ type: "pkcs8", format: "pem" });
  await writeFile(paths.secret, secret, { mode: 0o600 });
  await writeFile(paths.open, publicKey.export({ type: "spki", format: "pem" }));
  return paths;
}
