import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { webcrypto } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
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
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ALGORITHM,
    ...validity(),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
    ],
  });
  const certificate = join(folder, `${name}.crt`);
  await writeFile(certificate, authority.toString("pem"));

  return {
    certificate,
    issue: async (file, subject, names) => {
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
      const issued = await x509.X509CertificateGenerator.create({
        subject,
        issuer: authority.subject,
        signingKey: keys.privateKey,
        publicKey: own.publicKey,
        signingAlgorithm: ALGORITHM,
        ...validity(),
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.SubjectAlternativeNameExtension(
            names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value }) as const),
          ),
        ],
      });
      const paths = { certificate: join(folder, `${file}.crt`), key: join(folder, `${file}.key`) };
      await writeFile(paths.certificate, issued.toString("pem"));
      await writeFile(paths.key, await keyPem(own.privateKey), { mode: 0o600 });
      return paths;
    },
  };
}

/** A key pair for the tokens of service accounts, as files in PEM. */
export async function makeTokenKeys(
  folder: string,
): Promise<{ readonly secret: string; readonly open: string }> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const paths = { secret: join(folder, "tokens.key"), open: join(folder, "tokens.pub") };
  await writeFile(paths.secret, await keyPem(keys.privateKey), { mode: 0o600 });
  const exported = await webcrypto.subtle.exportKey("spki", keys.publicKey);
  await writeFile(paths.open, x509.PemConverter.encode(exported, "PUBLIC KEY"));
  return paths;
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + LIFE_MS) };
}
