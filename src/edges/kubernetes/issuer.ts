import { AppError } from "#core/errors.ts";
import { asList, asRecord, asText } from "#core/json.ts";
import { TOKEN_KEYS_MAX } from "#core/feed/token-keys.ts";
import type { TokenIssuer } from "#core/token/follow-issuer.ts";
import { readTokenKey } from "#core/token/token-key.ts";
import { readAll } from "./decoder.ts";
import { kubernetesFailure } from "./failure.ts";
import type { KubernetesConnection } from "./request.ts";

const DISCOVERY = { path: "/.well-known/openid-configuration", accept: "application/json" };
/** The API server answers 406 to whoever wants plain JSON of this one. */
const KEY_SET = { path: "/openid/v1/jwks", accept: "application/jwk-set+json" };
const IDLE_MS = 10_000;
const ANSWER_BYTES_MAX = 256 * 1024;

/**
 * Asks the API server who issues service accounts' tokens, and by which keys they are verified. The keys come
 * from the API server itself and never from the `jwks_uri` that it publishes for others.
 *
 * @throws {AppError} `kubernetes_unavailable`, also for an answer without a usable key; `kubernetes_refused`.
 */
export async function readIssuer(
  connection: KubernetesConnection,
  signal: AbortSignal,
): Promise<TokenIssuer> {
  const issuer = asText(asRecord(await read(connection, DISCOVERY, signal))["issuer"]);
  const keys = asList(asRecord(await read(connection, KEY_SET, signal))["keys"])
    .map((key) => JSON.stringify(key))
    .filter((key) => readTokenKey(key) !== undefined)
    .slice(0, TOKEN_KEYS_MAX);
  if (issuer === "" || keys.length === 0) {
    throw new AppError(
      "kubernetes_unavailable",
      "The Kubernetes API server names no issuer of tokens, or no key that can be used",
    );
  }
  return { issuer, keys };
}

async function read(
  connection: KubernetesConnection,
  { path, accept }: { readonly path: string; readonly accept: string },
  signal: AbortSignal,
): Promise<unknown> {
  using answer = await connection.request({ method: "GET", path, accept, idleMs: IDLE_MS, signal });
  const said = (await readAll(answer.body, ANSWER_BYTES_MAX)).toString("utf8");
  if (answer.status !== 200) {
    throw kubernetesFailure(
      answer.status,
      { verb: "get", resource: path },
      { retryAfterMs: answer.retryAfterMs, said },
    );
  }
  try {
    return JSON.parse(said);
  } catch (cause) {
    throw new AppError("kubernetes_unavailable", `Cannot get ${path}: the answer is no JSON`, {
      cause,
    });
  }
}
