import type { KnownPod } from "#core/feed/node-table.ts";
import {
  TOKEN_HEADER,
  TTL_HEADER,
  type MetadataAnswer,
  textAnswer,
  tokenAnswer,
} from "#core/imds/answers.ts";
import { parseTtl } from "#core/imds/token.ts";
import type { EndpointParts, MetadataRequest } from "./metadata-request.ts";

/** Who forwards a request says so in one of these; a token must not get through a proxy by mistake. */
const FORWARDED = ["x-forwarded-for", "forwarded"];

/** A new token, or why there is none; the same whatever else the answers look like. */
export async function answerToken(
  { method, headers, address }: MetadataRequest,
  { tokens, podAt }: EndpointParts,
): Promise<MetadataAnswer> {
  if (method !== "PUT") return textAnswer(405, "", { Allow: "PUT" });
  if (FORWARDED.some((name) => headers.get(name) !== undefined)) return textAnswer(403, "");
  const ttl = parseTtl(headers.get(TTL_HEADER));
  if (ttl === undefined) return textAnswer(400, "");
  // At once, even while the pod is not known: without a token, clients turn to IMDSv1 or give up.
  const { uid: podUid } = await podAt(address);
  return tokenAnswer(tokens.issue({ address, podUid }, ttl), ttl);
}

/**
 * The answer, for a request that has the token it needs; undefined for another.
 *
 * Who is not known yet is held to `--require-imdsv2` alone, and looked at once more when the answer is
 * there: the pod may have become known while it was waited for, and its namespace may ask for tokens.
 *
 * @param looksAtAll whether a token that is not needed must be a good one too
 */
export async function ifWelcome<T>(
  request: MetadataRequest,
  parts: EndpointParts,
  looksAtAll: boolean,
  answer: (pod: KnownPod) => Promise<T>,
): Promise<T | undefined> {
  const pod = await parts.podAt(request.address);
  if (!isWelcome(request, parts, pod, looksAtAll)) return undefined;
  const given = await answer(pod);
  if (pod.requireImdsv2 !== undefined) return given;
  const now = await parts.podAt(request.address);
  return isWelcome(request, parts, now, looksAtAll) ? given : undefined;
}

function isWelcome(
  { headers, address }: MetadataRequest,
  { tokens, requireImdsv2 }: EndpointParts,
  pod: KnownPod,
  looksAtAll: boolean,
): boolean {
  const token = headers.get(TOKEN_HEADER);
  // A namespace can ask for tokens, and cannot do without where every pod must have them.
  const isNeeded = requireImdsv2 || (pod.requireImdsv2 ?? false);
  if (!isNeeded && (token === undefined || !looksAtAll)) return true;
  return token !== undefined && tokens.isValid(token, { address, podUid: pod.uid });
}
