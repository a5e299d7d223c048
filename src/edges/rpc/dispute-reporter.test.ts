import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import type { AddressDispute } from "#core/feed/address-dispute.ts";
import { FeedSource } from "#test/feed-source.ts";
import { field, protobuf, rawCall, rpcWorld } from "#test/rpc.ts";
import { disputeReporter } from "./dispute-reporter.ts";
import type { TakeDispute } from "./feed-service.ts";
import type { Link } from "./link.ts";

const REPORT = "/rolecall.v1.NodeFeed/Report";
const DISPUTE: AddressDispute = {
  address: "10.0.0.1",
  between: "server-and-record",
  podUids: ["cart", "till"],
};

describe("rolecall.v1.NodeFeed/Report", { timeout: 30_000 }, () => {
  let world: Awaited<ReturnType<typeof rpcWorld>>;
  before(async () => {
    world = await rpcWorld();
  });
  after(() => world.resources[Symbol.asyncDispose]());

  /** A server, the connection of an agent to it, and what the server heard. */
  async function setUp(takeDispute?: TakeDispute) {
    const taken: (AddressDispute & { readonly node: string })[] = [];
    const hear: TakeDispute = (node, dispute) => void taken.push({ node, ...dispute });
    const { follow } = new FeedSource("e");
    const server = await world.serve({}, { follow, takeDispute: takeDispute ?? hear });
    return { server, taken };
  }
  async function linkTo(port: number): Promise<Link> {
    const servers = world.dialServers(port, () => ["127.0.0.1"]);
    await servers.events.first("server_reachable");
    const [link] = servers.lines.links();
    assert.ok(link);
    return link;
  }

  test("brings a dispute from an agent to the server that it follows", async () => {
    const { server, taken } = await setUp();
    const link = await linkTo(server.port);
    await disputeReporter("node-a", () => link)(DISPUTE, world.signal);
    assert.deepEqual(taken, [{ node: "node-a", ...DISPUTE }]);
    assert.equal((await server.events.first("call_handled")).method, "Report");
  });

  test("is heard of eight pods at most", async () => {
    const { server, taken } = await setUp();
    const link = await linkTo(server.port);
    const podUids = Array.from({ length: 20 }, (_, index) => `uid-${index}`);
    await disputeReporter("node-a", () => link)({ ...DISPUTE, podUids }, world.signal);
    assert.deepEqual(taken[0]?.podUids, podUids.slice(0, 8));
  });

  const told = (address: string, between: string, uids = ""): Buffer => {
    const dispute = field("0a", address) + field("12", between) + uids;
    const length = (dispute.length / 2).toString(16).padStart(2, "0");
    return Buffer.from(`${field("0a", "node-a")}12${length}${dispute}`, "hex");
  };

  test("is on the wire as its protocol says", async () => {
    const { server, taken } = await setUp();
    const uids = field("1a", "cart") + field("1a", "till");
    const message = told("::ffff:10.0.0.1", "server-and-record", uids);
    const answer = await rawCall(world.dial(server.port), REPORT, message);
    assert.equal(answer.trailers["grpc-status"], "0");
    assert.equal(answer.message, "");
    assert.deepEqual(taken, [{ node: "node-a", ...DISPUTE }]);
  });

  for (const [what, message] of [
    ["text that is no address", told("<b>10.0.0.1</b>", "records")],
    ["a kind that the server does not know", told("10.0.0.1", "moon-and-sun")],
    ["what the server does not know", protobuf({ 1: "node-a", 15: "news" })],
  ] as const) {
    test(`passes over ${what}`, async () => {
      const { server, taken } = await setUp();
      const { trailers } = await rawCall(world.dial(server.port), REPORT, message);
      assert.equal(trailers["grpc-status"], "0");
      assert.deepEqual(taken, []);
    });
  }

  test("goes nowhere while no server is followed", async () => {
    await disputeReporter("node-a", () => undefined)(DISPUTE, world.signal);
  });

  test("goes once to a server that takes no reports", async () => {
    const { follow } = new FeedSource("e");
    const server = await world.serve({}, { follow });
    const link = await linkTo(server.port);
    const report = disputeReporter("node-a", () => link);
    await assert.rejects(report(DISPUTE, world.signal), { code: "server_unavailable" });
    // It would fail again, were it sent.
    await report(DISPUTE, world.signal);
  });

  test("says why the server did not take it, and comes again", async () => {
    const refusal = new AppError("overloaded", "too many");
    const { server } = await setUp(() => {
      throw refusal;
    });
    const link = await linkTo(server.port);
    const report = disputeReporter("node-a", () => link);
    for (let round = 0; round < 2; round += 1) {
      await assert.rejects(report(DISPUTE, world.signal), { code: "overloaded" });
    }
  });
});
