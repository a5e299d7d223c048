import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { asRecord, asText } from "#core/json.ts";
import type { Change } from "#core/watch/change.ts";
import type { OpenChanges } from "#core/watch/follow.ts";
import { listFromStart, withPage, withVersion, type WatchState } from "#core/watch/watch-state.ts";
import { jsonDecoder, readAll, type Decoder, type RawFrame } from "./decoder.ts";
import { kubernetesFailure, type Attempt } from "./failure.ts";
import type { KubernetesAnswer, KubernetesConnection } from "./request.ts";

/** What a watch reports besides the changes. `resource` is `pods` or `namespaces`. */
export type ListWatchEvent =
  | {
      readonly type: "listed";
      readonly resource: string;
      readonly items: number;
      readonly milliseconds: number;
    }
  | { readonly type: "watching"; readonly resource: string; readonly resourceVersion: string }
  | { readonly type: "relist"; readonly resource: string }
  | { readonly type: "skipped"; readonly resource: string; readonly why: string };

export interface ListWatchOptions<T> {
  readonly connection: KubernetesConnection;
  /** The collection, as `/api/v1/pods`. */
  readonly path: string;
  /** What is kept of an object; undefined for one that can't be used. */
  readonly project: (object: unknown) => T | undefined;
  readonly clock: Clock;
  readonly observe?: (event: ListWatchEvent) => void;
  readonly pageSize?: number;
  /** How long one watch lasts before the API server ends it, seconds. */
  readonly watchSeconds?: number;
  /** The longest silence of a watch, milliseconds: `watchSeconds` and some slack. */
  readonly idleMs?: number;
  /** The longest silence of a list, milliseconds. */
  readonly listIdleMs?: number;
  readonly decoder?: Decoder;
}

const PAGE_SIZE = 500;
/** Resuming is cheap, and a connection that died without a word is found within this and the slack. */
const WATCH_SECONDS = 60;
const IDLE_SLACK_MS = 15_000;
const LIST_IDLE_MS = 30_000;
const STATUS_BYTES_MAX = 64 * 1024;

/**
 * Lists a Kubernetes collection in pages, then watches it with bookmarks.
 *
 * Where it stands outlives each stream: a new one resumes from the last version that was delivered,
 * and lists again only when the API server says that this version is gone. One value serves one
 * follower.
 *
 * @throws {AppError} from the stream: `kubernetes_unavailable`, `kubernetes_refused`, `kubernetes_gone`.
 */
export function listWatch<T>(options: ListWatchOptions<T>): OpenChanges<T> {
  const resource = options.path.slice(options.path.lastIndexOf("/") + 1);
  const source = { ...withDefaults(options), resource };
  let state: WatchState<T> = listFromStart();
  let listedFrom = 0;

  return async function* open(signal: AbortSignal): AsyncGenerator<Change<T>> {
    try {
      while (state.step === "listing") {
        if (state.next === undefined) listedFrom = source.clock.now();
        const { state: after, change } = withPage(
          state.items,
          await fetchPage(source, state.next, signal),
        );
        if (change?.type === "replaced") {
          const milliseconds = source.clock.now() - listedFrom;
          // Were this change not applied, the list would have to be asked for again.
          state = listFromStart();
          yield change;
          source.observe({ type: "listed", resource, items: change.items.length, milliseconds });
        }
        state = after;
      }
      for await (const frame of fetchFrames(source, state.resourceVersion, signal)) {
        const { change, resourceVersion } = readFrame(source, frame);
        if (change !== undefined) {
          const before: WatchState<T> = state;
          state = listFromStart();
          yield change;
          state = before;
        }
        state = withVersion(state, resourceVersion);
      }
    } catch (error) {
      if (error instanceof AppError && error.code === "kubernetes_gone") {
        state = listFromStart();
        source.observe({ type: "relist", resource });
      }
      throw error;
    }
  };
}

type Source<T> = Required<ListWatchOptions<T>> & { readonly resource: string };

function withDefaults<T>(options: ListWatchOptions<T>): Required<ListWatchOptions<T>> {
  const watchSeconds = options.watchSeconds ?? WATCH_SECONDS;
  return {
    observe: () => {},
    pageSize: PAGE_SIZE,
    watchSeconds,
    idleMs: watchSeconds * 1_000 + IDLE_SLACK_MS,
    listIdleMs: LIST_IDLE_MS,
    decoder: jsonDecoder(),
    ...options,
  };
}

async function fetchPage<T>(source: Source<T>, next: string | undefined, signal: AbortSignal) {
  const query = new URLSearchParams({ limit: String(source.pageSize) });
  if (next !== undefined) query.set("continue", next);
  using answer = await source.connection.request({
    method: "GET",
    path: `${source.path}?${query.toString()}`,
    accept: source.decoder.accept,
    idleMs: source.listIdleMs,
    signal,
  });
  await refuse(answer, { verb: "list", resource: source.resource });
  const page = await source.decoder.page(answer.body);
  return {
    items: page.items
      .map((object) => projected(source, object))
      .filter((item) => item !== undefined),
    resourceVersion: page.resourceVersion,
    next: page.continueToken === "" ? undefined : page.continueToken,
  };
}

async function* fetchFrames<T>(
  source: Source<T>,
  resourceVersion: string,
  signal: AbortSignal,
): AsyncGenerator<RawFrame> {
  const query = new URLSearchParams({
    watch: "1",
    allowWatchBookmarks: "true",
    resourceVersion,
    timeoutSeconds: String(source.watchSeconds),
  });
  using answer = await source.connection.request({
    method: "GET",
    path: `${source.path}?${query.toString()}`,
    accept: source.decoder.accept,
    idleMs: source.idleMs,
    signal,
  });
  await refuse(answer, { verb: "watch", resource: source.resource });
  source.observe({ type: "watching", resource: source.resource, resourceVersion });
  yield* source.decoder.frames(answer.body);
}

function readFrame<T>(
  source: Source<T>,
  { type, object }: RawFrame,
): { readonly change: Change<T> | undefined; readonly resourceVersion: string } {
  const metadata = asRecord(asRecord(object)["metadata"]);
  const resourceVersion = asText(metadata["resourceVersion"]);
  const nothing = { change: undefined, resourceVersion };
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED": {
      const item = projected(source, object);
      if (item === undefined) return nothing;
      return { change: { type: type === "DELETED" ? "removed" : "put", item }, resourceVersion };
    }
    case "BOOKMARK":
      return nothing;
    case "ERROR": {
      const status = asRecord(object);
      const code = typeof status["code"] === "number" ? status["code"] : 500;
      throw watchFailure(source, code, asText(status["message"]));
    }
    default:
      source.observe({ type: "skipped", resource: source.resource, why: "unknown kind of frame" });
      return nothing;
  }
}

function projected<T>({ project, observe, resource }: Source<T>, object: unknown): T | undefined {
  const item = project(object);
  if (item === undefined) {
    observe({ type: "skipped", resource, why: "object without the fields that make it one" });
  }
  return item;
}

async function refuse(answer: KubernetesAnswer, attempt: Attempt): Promise<void> {
  if (answer.status === 200) return;
  const said = (await readAll(answer.body, STATUS_BYTES_MAX)).toString("utf8");
  if (attempt.verb === "watch")
    throw watchFailure(attempt, answer.status, said, answer.retryAfterMs);
  throw kubernetesFailure(answer.status, attempt, { retryAfterMs: answer.retryAfterMs, said });
}

function watchFailure(
  { resource }: Pick<Attempt, "resource">,
  status: number,
  said: string,
  retryAfterMs?: number,
): AppError {
  // A version that this API server never gave (etcd was restored) would be refused for ever.
  const unusable = status === 400 || /too large resource version/i.test(said);
  const attempt: Attempt = { verb: "watch", resource };
  return kubernetesFailure(unusable ? 410 : status, attempt, { retryAfterMs, said });
}
