/** One request to the API server. */
export interface KubernetesRequest {
  readonly method: "GET" | "POST";
  /** Path and query, beginning with `/`. */
  readonly path: string;
  readonly accept: string;
  /** JSON text to send. */
  readonly body?: string;
  /** The longest silence of the API server, milliseconds; then the connection counts as dead. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

/** The API server's answer. Whoever gets it reads the body to its end or disposes of it. */
export interface KubernetesAnswer extends Disposable {
  readonly status: number;
  /** `Retry-After` in milliseconds, when given in seconds. */
  readonly retryAfterMs: number | undefined;
  /** @throws {AppError} `kubernetes_unavailable` when the connection breaks or falls silent. */
  readonly body: AsyncIterable<Buffer>;
}

/** A way to the Kubernetes API server: where it is, how it proves itself, and who is asking. */
export interface KubernetesConnection extends Disposable {
  /** @throws {AppError} `kubernetes_unavailable` when there is no answer. */
  request(request: KubernetesRequest): Promise<KubernetesAnswer>;
}
