import { createHash, createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** What a signed request says of its signer. */
export interface Signed {
  readonly accessKeyId: string;
  readonly sessionToken: string | undefined;
  /** When it was signed, by the signer's clock. Milliseconds since the Unix epoch. */
  readonly at: number;
  /** Whether the signature is the one that this secret makes. */
  isBy(secretAccessKey: string): boolean;
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=(?<key>[^/]+)\/(?<date>\d{8})\/(?<region>[^/]+)\/(?<service>[^/]+)\/aws4_request, SignedHeaders=(?<headers>[^,]+), Signature=(?<signature>[\da-f]{64})$/;

/** Reads AWS's signature version 4 of a POST; undefined when the request is not signed. */
export function readSignature(request: IncomingMessage, body: string): Signed | undefined {
  const fields = AUTHORIZATION.exec(request.headers.authorization ?? "")?.groups;
  if (fields === undefined) return undefined;
  const { key = "", date = "", region = "", service = "", headers = "", signature } = fields;
  const scope = `${date}/${region}/${service}/aws4_request`;
  const canonical = [
    request.method,
    request.url?.split("?", 1)[0],
    request.url?.split("?")[1] ?? "",
    ...headers.split(";").map((name) => `${name}:${String(request.headers[name] ?? "").trim()}`),
    "",
    headers,
    sha256(body),
  ].join("\n");
  const text = ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, sha256(canonical)].join(
    "\n",
  );
  const token = request.headers["x-amz-security-token"];
  const at = String(request.headers["x-amz-date"]).replace(
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
    "$1-$2-$3T$4:$5:$6Z",
  );
  return {
    accessKeyId: key,
    at: Date.parse(at),
    sessionToken: typeof token === "string" ? token : undefined,
    isBy(secret) {
      const signing = [date, region, service, "aws4_request"].reduce<Buffer | string>(
        (keyed, part) => createHmac("sha256", keyed).update(part).digest(),
        `AWS4${secret}`,
      );
      return createHmac("sha256", signing).update(text).digest("hex") === signature;
    },
  };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
