import { checkServerIdentity } from "node:tls";
import type { PeerCertificate, SecureContextOptions } from "node:tls";
import type { TlsMaterial } from "./tls-material.ts";

/** What both ends of a connection use of the certificate files. */
export function secureContext({ cert, key, ca }: TlsMaterial): SecureContextOptions {
  return {
    cert,
    key,
    ca,
    minVersion: "TLSv1.2",
    // As in Go: whatever is in the CA file is trusted, an intermediate authority too.
    allowPartialTrustChain: true,
  };
}

/**
 * Whether the server is who it should be: one of its subject alternative names is the host. The common
 * name is ignored, as in Go since 1.15.
 */
export function verifyServerName(host: string, certificate: PeerCertificate): Error | undefined {
  const names = certificate.subjectaltname;
  if (names === undefined || names === "") {
    return new Error(
      `the server's certificate has no subject alternative name, so it is not valid for "${host}"`,
    );
  }
  if (checkServerIdentity(host, certificate) === undefined) return undefined;
  return new Error(`the server's certificate is not valid for "${host}" but for ${names}`);
}

/** The last word of a failure, with its code, for people. Holds no secret: it is about connections only. */
export function reasonOf(error: unknown): string {
  let last = error;
  for (
    let depth = 0;
    depth < 8 && last instanceof Error && last.cause instanceof Error;
    depth += 1
  ) {
    last = last.cause;
  }
  if (!(last instanceof Error)) return String(last);
  const code = "code" in last && typeof last.code === "string" ? last.code : "";
  return code === "" || last.message.includes(code) ? last.message : `${last.message} (${code})`;
}
