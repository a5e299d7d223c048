import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { BASE_ARN, fedCredentials, fedPod, feed as feedTo, granted } from "#test/fed-pod.ts";
import type { FedPod } from "./fed-pod.ts";
import type { FeedChange } from "./feed-messages.ts";
import { type AnswerSource, NodeTable } from "./node-table.ts";
import { nameOfPlace, type Place } from "./local-truth.ts";
import type { LocalOwner } from "./places.ts";
import type { PodAnswers } from "./pod-answers.ts";
import { PodTable } from "./pod-table.ts";

const HOUR = 3_600_000;
const ADDRESS = "10.0.0.1";
const never = new AbortController();

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

function setUp({ isFed = true } = {}) {
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

describe("NodeTable with a feed", () => {
  test("answers from memory, without waiting and without asking", async () => {
    const { put, issue, key, table, asked, clock, sources } = setUp();
    put();
    issue();
    assert.equal(await table.role(ADDRESS, never), "reader");
    assert.equal(await table.listedRole(ADDRESS, never), "reader");
    assert.equal(await key(), "ASIA1");
    assert.deepEqual([asked, clock.pauses], [[], []]);
    assert.deepEqual(sources, ["memory", "memory", "memory"]);
  });

  for (const [what, requested] of [
    ["its name", "reader"],
    ["its ARN", `${BASE_ARN}reader`],
    ["a leading slash", "/reader"],
  ] as const) {
    test(`gives the annotated role's credentials for ${what}`, async () => {
      const { put, issue, key } = setUp();
      put();
      issue();
      assert.equal(await key(requested), "ASIA1");
    });
  }

  test("gives no other role's, whatever is asked for", async () => {
    const { put, issue, key, outcome } = setUp();
    put();
    issue();
    for (const requested of ["writer", "", "reader/", "arn:aws:iam::210987654321:role/reader"]) {
      assert.equal(await outcome(key(requested)), "role_mismatch");
    }
  });

  test("refuses as the server decided, in its words", async () => {
    const { put, table, key, outcome } = setUp();
    const refused = { outcome: "refused", code: "namespace_forbids", reason: "its words" } as const;
    put({ grant: refused });
    await assert.rejects(key(), { code: "namespace_forbids", message: "its words" });
    assert.equal(await table.role(ADDRESS, never), "reader");
    assert.equal(await outcome(table.listedRole(ADDRESS, never)), "namespace_forbids");
  });

  test("knows who names no role", async () => {
    const { put, table, key, outcome } = setUp();
    put({ role: undefined, grant: { outcome: "none" } });
    assert.equal(await outcome(table.role(ADDRESS, never)), "no_role");
    assert.equal(await outcome(key()), "no_role");
  });

  test("follows a change of the pod's role at once", async () => {
    const { put, issue, key, table, outcome } = setUp();
    put();
    issue();
    put(granted("writer", 2));
    issue("ASIA2", 2);
    assert.equal(await table.role(ADDRESS, never), "writer");
    assert.equal(await outcome(key("reader")), "role_mismatch");
    assert.equal(await key("writer"), "ASIA2");
  });

  test("holds a request for a pod that the feed is about to bring", async () => {
    const { put, issue, key, clock, asked } = setUp();
    const answer = key();
    await clock.advance(399);
    put();
    issue();
    assert.equal(await answer, "ASIA1");
    assert.deepEqual(asked, []);
  });

  test("asks a server once for all who ask about an address that the feed does not know", async () => {
    const { table, clock, asked, sources, world, server } = setUp();
    const travel = Promise.withResolvers<void>();
    server.travel = travel.promise;
    world.podUid = "uid-9";
    const answers = [table.role(ADDRESS, never), table.role(ADDRESS, never)];
    await clock.advance(399);
    assert.deepEqual(asked, []);
    await clock.advance(1);
    travel.resolve();
    assert.deepEqual(await Promise.all(answers), ["server", "server"]);
    assert.deepEqual(asked, ["server: role 10.0.0.1 uid-9"]);
    assert.deepEqual(sources, ["server", "server"]);
  });

  test("refuses retryably when no server knows more", async () => {
    const { table, clock, server, world, outcome } = setUp();
    world.podUid = "uid-9";
    server.error = new AppError("server_unavailable", "away");
    const answer = outcome(table.role(ADDRESS, never));
    await clock.advance(400);
    assert.equal(await answer, "server_unavailable");
  });

  test("asks no server about an address alone: the node could not contradict what it says", async () => {
    const { table, clock, asked, outcome } = setUp();
    const answer = outcome(table.role(ADDRESS, never));
    await clock.advance(400);
    assert.equal(await answer, "pod_not_found");
    assert.deepEqual(asked, []);
  });

  test("waits for credentials that are on their way, and a role list does not", async () => {
    const { put, issue, key, table, clock, outcome } = setUp();
    put();
    assert.equal(await table.listedRole(ADDRESS, never), "reader");
    const first = key();
    await clock.advance(699);
    issue();
    assert.equal(await first, "ASIA1");

    put(granted("reader", 3));
    const second = outcome(key());
    await clock.advance(700);
    assert.equal(await second, "not_ready");
  });

  test("tells what STS said", async () => {
    const { put, feed, key, table } = setUp();
    put();
    const failure = { outcome: "failed", code: "sts_denied", reason: "AccessDenied: no" } as const;
    feed({ type: "session", id: 1, session: failure });
    await assert.rejects(key(), { code: "sts_denied", message: "AccessDenied: no" });
    assert.equal(await table.listedRole(ADDRESS, never), "reader");
  });

  test("serves what it holds while the feed is lost, until it expires and not longer", async () => {
    const { put, issue, key, clock, world, sources, outcome } = setUp();
    put();
    issue();
    world.isInSync = false;
    await clock.advance(HOUR - 1);
    assert.equal(await key(), "ASIA1");
    assert.deepEqual(sources, ["held"]);
    await clock.advance(1);
    assert.equal(await outcome(key()), "sts_unavailable");
  });

  test("lets 32 requests of an address wait, and no more", async () => {
    const { table, clock, world, outcome } = setUp();
    world.podUid = "uid-9";
    const all = Array.from({ length: 33 }, () => outcome(table.role(ADDRESS, never)));
    await clock.advance(400);
    const outcomes = await Promise.all(all);
    assert.equal(outcomes.filter((each) => each === "overloaded").length, 1);
    assert.equal(outcomes.filter((each) => each === "server").length, 32);
  });
});

describe("NodeTable and what the node itself says", () => {
  test("gives a pod its role before Kubernetes knows its address", async () => {
    const { put, issue, key, world } = setUp();
    put({ addresses: [] });
    issue();
    world.podUid = "uid-1";
    assert.equal(await key(), "ASIA1");
  });

  test("gives nothing of the former pod to the one that the node gave its address to", async () => {
    const { put, issue, key, clock, world, outcome, asked, compared } = setUp();
    put();
    issue();
    world.podUid = "uid-2";
    const answer = outcome(key());
    await clock.advance(400);
    assert.equal(await answer, "pod_ambiguous");
    assert.deepEqual(asked, []);
    // The node's records are told of what the server says.
    assert.equal(compared[0], "uid-1");
  });

  test("gives the next pod its own as soon as the former one is known to leave", async () => {
    const { feed, put, issue, key, clock, world } = setUp();
    put();
    issue();
    world.podUid = "uid-2";
    const answer = key("writer");
    await clock.advance(100);
    put({ deleting: true });
    feed({ type: "pod", pod: fedPod({ uid: "uid-2", addresses: [], ...granted("writer", 2) }) });
    issue("ASIA2", 2);
    assert.equal(await answer, "ASIA2");
  });

  test("believes neither in a dispute, and waits for it to settle", async () => {
    const { put, issue, key, clock, world, outcome } = setUp();
    put();
    issue();
    world.disputed = new AppError("pod_ambiguous", "two records");
    const refused = outcome(key());
    await clock.advance(400);
    assert.equal(await refused, "pod_ambiguous");

    const settled = key();
    await clock.advance(100);
    world.disputed = undefined;
    issue();
    assert.equal(await settled, "ASIA1");
  });

  test("does not believe a feed whose pod is no longer where it was", async () => {
    const { put, issue, key, clock, world, outcome } = setUp();
    put();
    issue();
    world.moved = new AppError("pod_ambiguous", "moved");
    const answer = outcome(key());
    await clock.advance(400);
    assert.equal(await answer, "pod_ambiguous");
  });

  test("tells pods on the host network apart by no address", async () => {
    const { put, key, outcome } = setUp();
    put({ hostNetwork: true });
    assert.equal(await outcome(key()), "host_network");
  });

  test("knows a pod and what its namespace asks, as far as is known", async () => {
    const { put, table, world, pods } = setUp();
    const nobody = { uid: undefined, requireImdsv2: undefined, roleArn: undefined };
    assert.deepEqual(await table.known(ADDRESS), nobody);
    world.podUid = "uid-1";
    assert.deepEqual(await table.known(ADDRESS), { ...nobody, uid: "uid-1" });
    put({ requireImdsv2: true });
    assert.deepEqual(await table.known(ADDRESS), {
      uid: "uid-1",
      requireImdsv2: true,
      roleArn: `${BASE_ARN}reader`,
      fed: pods.byUid("uid-1"),
    });
    world.podUid = "uid-2";
    assert.deepEqual(await table.known(ADDRESS), { ...nobody, uid: "uid-2" });
    world.podUid = "uid-1";
    put({ grant: { outcome: "refused", code: "namespace_unknown", reason: "why" } });
    const fed = pods.byUid("uid-1");
    assert.deepEqual(await table.known(ADDRESS), { ...nobody, uid: "uid-1", fed });
    world.disputed = new AppError("pod_ambiguous", "two records");
    assert.deepEqual(await table.known(ADDRESS), nobody);
  });

  test("does not look again for who has just been told of an address, but after a wait", async () => {
    const { put, issue, table, world, clock, outcome } = setUp();
    put();
    const known = await table.known(ADDRESS);
    world.disputed = new AppError("pod_ambiguous", "two records");
    const waiting = outcome(table.credentials(ADDRESS, "reader", never, known));
    await settle();
    issue();
    await clock.advance(400);
    assert.equal(await waiting, "pod_ambiguous");
    const { accessKeyId } = await table.credentials(ADDRESS, "reader", never, known);
    assert.equal(accessKeyId, "ASIA1");
  });
});

describe("NodeTable without a feed", () => {
  test("asks about each pod, and says whom the node gave the address to", async () => {
    const { table, asked, world, clock } = setUp({ isFed: false });
    world.podUid = "uid-1";
    assert.equal(await table.role(ADDRESS, never), "asked");
    assert.equal((await table.credentials(ADDRESS, "reader", never)).accessKeyId, "asked");
    assert.deepEqual(asked, [
      "asked: role 10.0.0.1 uid-1",
      "asked: credentials 10.0.0.1 reader uid-1",
    ]);
    assert.deepEqual(clock.pauses, []);
  });

  test("says where the address is before it asks, so that nothing is served elsewhere", async () => {
    const { table, asked, world } = setUp({ isFed: false });
    world.place = { interface: "veth1", hardwareAddress: undefined, index: 7 };
    await table.role(ADDRESS, never);
    assert.deepEqual(asked, ["asked: leave 10.0.0.1 to veth1 7", "asked: role 10.0.0.1"]);
  });

  test("asks nobody in a dispute", async () => {
    const { table, asked, world, outcome } = setUp({ isFed: false });
    world.disputed = new AppError("pod_ambiguous", "two records");
    assert.equal(await outcome(table.role(ADDRESS, never)), "pod_ambiguous");
    assert.deepEqual(asked, []);
  });

  test("asks anew once there is a feed no more", async () => {
    const { table, put, pods, asked } = setUp();
    put();
    pods.clear();
    await settle();
    assert.equal(await table.role(ADDRESS, never), "asked");
    assert.equal(asked.length, 1);
  });
});
