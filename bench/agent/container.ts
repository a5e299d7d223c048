import { podClaims, published, signingKey, signToken, ISSUER } from "#test/token-issuer.ts";
import type { TokenKeys } from "#core/feed/token-keys.ts";
import { type Row, rowOf } from "../row.ts";
import { compare } from "./compare.ts";
import { NODE_NAME, NODE_PODS, UNPLACED_UID } from "./pods.ts";
import { request } from "./requests.ts";
import { TARGETS } from "./targets.ts";
import type { Plan, World } from "./world.ts";

/** More than an agent remembers, so that each comes as if for the first time however often it comes. */
const FIRST_TOKENS = 1_536;

const KEY = signingKey();

/** How the bench's tokens are verified. */
export const TOKEN_KEYS: TokenKeys = {
  issuer: ISSUER,
  audiences: ["rolecall"],
  keys: published([KEY]),
};

/** What credentials by token cost, seen before and for the first time, compared with IMDSv1. */
export async function container(world: World, plan: Plan): Promise<readonly Row[]> {
  const { agent, client, requests } = world;
  const seen = NODE_PODS.map(({ uid }, index) => containerRequest(uid, index));
  const first = Array.from({ length: FIRST_TOKENS }, (_, index) =>
    containerRequest(UNPLACED_UID, index),
  );
  const shape = { mode: "keep", connections: 32, ...plan.slice } as const;
  const bySource = await compare(
    world,
    plan,
    [
      { name: "v1", process: agent, requests: requests.v1 },
      { name: "seen", process: agent, requests: await client.prepare("container", seen) },
    ],
    shape,
  );
  const inTurn = await compare(
    world,
    plan,
    [{ name: "first", process: agent, requests: await client.prepare("container-first", first) }],
    { ...shape, turn: "request" },
  );
  const cpu = (name: string): readonly number[] =>
    [...(bySource.get(name) ?? []), ...(inTurn.get(name) ?? [])].map(({ cpuUs }) => cpuUs);
  const samples = {
    "container.seen.cpu": { values: cpu("seen"), floors: cpu("v1") },
    "container.first.cpu": { values: cpu("first") },
  };
  return Object.entries(samples).map(([name, sample]) => rowOf(name, "µs", sample, TARGETS[name]));
}

function containerRequest(uid: string, serial: number): string {
  const bound = { namespace: "shop", node: { name: NODE_NAME }, pod: { name: uid, uid } };
  const claims = podClaims(Date.now(), {
    jti: `00000000-0000-4000-8000-${String(serial).padStart(12, "0")}`,
    "kubernetes.io": { ...bound, serviceaccount: { name: "cart", uid } },
  });
  return request("GET", "/v1/credentials", { Authorization: signToken(KEY, claims) });
}
