import { AppError } from "#core/errors.ts";
import type { FedPod } from "#core/feed/fed-pod.ts";
import type { FeedChange } from "#core/feed/feed-messages.ts";
import { nameOfPlace, type Place } from "#core/feed/local-truth.ts";
import { type AnswerSource, NodeTable } from "#core/feed/node-table.ts";
import type { LocalOwner } from "#core/feed/places.ts";
import type { PodAnswers } from "#core/feed/pod-answers.ts";
import { PodTable } from "#core/feed/pod-table.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { FakeClock } from "./fake-clock.ts";
import { fedCredentials, fedPod, feed as feedTo, granted } from "./fed-pod.ts";

export const HOUR = 3_600_000;
/** The one that is asked about. */
export const ADDRESS = "10.0.0.1";
/** Who asks and never leaves. */
export const never = new AbortController();

/** A server that answers every question with its name. */
function answering(name: string, asked: string[]) {
  const server = {
    error: undefined as AppError | undefined,
    /** Answers travel until it settles. */
    travel: Promise.resolve(),
    role: async (address: string, _signal: AbortSignal, podUid?: string): Promise<string> => {
      asked.push(`${name}: role ${address} ${podUid ?? ""}`.trimEnd());
      await server.travel;
      if (server.error !== undefined) throw server.error;
      return name;
    },
    credentials: async (
      address: string,
      role: string,
      _signal: AbortSignal,
      podUid?: string,
    ): Promise<Credentials> => {
      asked.push(`${name}: credentials ${address} ${role} ${podUid ?? ""}`.trimEnd());
      if (server.error !== undefined) throw server.error;
      return fedCredentials(name, Number.MAX_SAFE_INTEGER);
    },
  };
  return server satisfies PodAnswers;
}

/** A node table between a feed, a node and servers that say what a test tells them to. */
export function nodeTableWorld({ isFed = true } = {}) {
  const clock = new FakeClock();
  const pods = new PodTable();
  const asked: string[] = [];
  const sources: AnswerSource[] = [];
  const compared: string[] = [];
  const server = answering("server", asked);
  const world = {
    /** Whom the node gave the address to. */
    podUid: undefined as string | undefined,
    disputed: undefined as AppError | undefined,
    place: undefined as Place | undefined,
    /** Why the node does not believe the feed's word on a pod. */
    moved: undefined as AppError | undefined,
    /** A look at the node takes until it settles. */
    look: Promise.resolve(),
    isInSync: true,
  };
  const table = new NodeTable({
    pods,
    isInSync: () => world.isInSync,
    places: {
      ownerOf: async (address): Promise<LocalOwner> => {
        if (world.disputed !== undefined) throw world.disputed;
        const { podUid } = world;
        const about = {
          namespace: "shop",
          name: "cart",
          hostInterfaces: [],
          hardwareAddresses: [],
        };
        const record = podUid === undefined ? undefined : { ...about, podUid };
        return { address, record, place: world.place };
      },
      compare: ({ record }, claims) => {
        if (record !== undefined) compared.push(...claims.map(({ uid }) => uid));
      },
      confirm: async () => {
        await world.look;
        if (world.moved !== undefined) throw world.moved;
      },
    },
    server,
    asked: {
      ...answering("asked", asked),
      leaveTo: ({ address, place }) => {
        if (place !== undefined) asked.push(`asked: leave ${address} to ${nameOfPlace(place)}`);
      },
    },
    clock,
    observe: (source) => sources.push(source),
  });
  const feed = (...changes: FeedChange[]): void => feedTo(pods, changes);
  const put = (fields: Partial<FedPod> = {}): void =>
    feed({ type: "pod", pod: fedPod({ ...granted("reader", 1), ...fields }) });
  const issue = (accessKeyId = "ASIA1", id = 1): void =>
    feed({
      type: "session",
      id,
      session: {
        outcome: "issued",
        credentials: fedCredentials(accessKeyId, clock.now() + HOUR),
      },
    });
  if (isFed) feed();
  const key = async (role = "reader"): Promise<string> =>
    (await table.credentials(ADDRESS, role, never)).accessKeyId;
  const outcome = async (promise: Promise<unknown>): Promise<unknown> => {
    try {
      return await promise;
    } catch (error) {
      return AppError.from(error).code;
    }
  };
  return {
    clock,
    pods,
    asked,
    sources,
    compared,
    server,
    world,
    table,
    feed,
    put,
    issue,
    key,
    outcome,
  };
}
