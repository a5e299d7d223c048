import { webcrypto } from "node:crypto";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR_MS = 3_600_000;

/** A certificate with its key, PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** DNS names. */
  readonly names?: readonly string[];
  /** IP addresses. */
  readonly addresses?: readonly string[];
  /** Whether it may be a client's certificate; yes by default. */
  readonly client?: boolean;
  /** Whether it may be a server's certificate; yes by default. */
  readonly server?: boolean;
  /** Milliseconds since the Unix epoch; an hour from now by default. */
  readonly notAfter?: number;
  /** Distinguished name; `CN=test` by default. */
  readonly subject?: string;
}

/** A certificate authority of a test's own. */
export interface Authority {
  /** Its certificate, PEM. */
  readonly cert: string;
  issue(options: IssueOptions): Promise<Issued>;
}

/** Makes an authority; two of the same name are still different. */
export async function createAuthority(name = "test authority"): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    serialNumber: serial(),
    notBefore: new Date(Date.now() - 48 * HOUR_MS),
    notAfter: new Date(Date.now() + 24 * HOUR_MS),
    keys: keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return {
    cert: authority.toString("pem"),
    issue: (options) => issue(options, authority, keys.privateKey),
  };
}

async function issue(
  { names = [], addresses = [], client = true, server = true, ...options }: IssueOptions,
  authority: x509.X509Certificate,
  signingKey: webcrypto.CryptoKey,
): Promise<Issued> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const alternatives: x509.JsonGeneralNames = [
    ...names.map((value) => ({ type: "dns", value }) as const),
    ...addresses.map((value) => ({ type: "ip", value }) as const),
  ];
  const usages = [
    ...(client ? [x509.ExtendedKeyUsage.clientAuth] : []),
    ...(server ? [x509.ExtendedKeyUsage.serverAuth] : []),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    subject: options.subject ?? "CN=test",
    issuer: authority.subject,
    serialNumber: serial(),
    notBefore: new Date(Date.now() - 24 * HOUR_MS),
    notAfter: new Date(options.notAfter ?? Date.now() + HOUR_MS),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      ...(usages.length > 0 ? [new x509.ExtendedKeyUsageExtension(usages)] : []),
      ...(alternatives.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternatives)] : []),
    ],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { cert: certificate.toString("pem"), key: x509.PemConverter.encode(key, "PRIVATE KEY") };
}

/** 16 random bytes, hexadecimal, positive. */
function serial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  return `01${Buffer.from(bytes).toString("hex")}`;
}

/** Where a mounted secret's files are. */
export interface TlsFolder {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface TlsFolderContent extends Issued {
  /** The authorities that peers may be signed by. */
  readonly ca: readonly string[];
}

/**
 * Writes the files as the kubelet mounts a secret: each is a link into `..data`, which is a link to a
 * folder that holds this version.
 */
export async function writeTlsFolder(dir: string, content: TlsFolderContent): Promise<TlsFolder> {
  await mkdir(dir, { recursive: true });
  await swapTlsFolder(dir, content);
  const path = async (name: string): Promise<string> => {
    await symlink(join("..data", name), join(dir, name));
    return join(dir, name);
  };
  return { cert: await path("tls.crt"), key: await path("tls.key"), ca: await path("ca.crt") };
}

let version = 0;

/** Replaces all files at once, as the kubelet does when the secret changes. */
export async function swapTlsFolder(dir: string, content: TlsFolderContent): Promise<void> {
  version += 1;
  const name = `..version_${version}`;
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, "tls.crt"), content.cert);
  await writeFile(join(dir, name, "tls.key"), content.key, { mode: 0o600 });
  await writeFile(join(dir, name, "ca.crt"), content.ca.join("\n"));
  await rm(join(dir, "..data_tmp"), { force: true });
  await symlink(name, join(dir, "..data_tmp"));
  await rename(join(dir, "..data_tmp"), join(dir, "..data"));
}
