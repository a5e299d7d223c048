import assert from "node:assert/strict";
import { constants } from "node:http2";
import type { ClientHttp2Stream } from "node:http2";
import { after, before, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import type { FeedMessage } from "#core/feed/feed-messages.ts";
import { fedPod } from "#test/fed-pod.ts";
import { FeedSource } from "#test/feed-source.ts";
import { protobuf, rawCall, rpcWorld } from "#test/rpc.ts";

const FOLLOW = "/rolecall.v1.NodeFeed/Follow";
const NODE_A = protobuf({ 1: "node-a", 2: "1.2.3" });

describe("rolecall.v1.NodeFeed", { timeout: 30_000 }, () => {
  let world: Awaited<ReturnType<typeof rpcWorld>>;
  before(async () => {
    world = await rpcWorld();
  });
  after(() => world.resources[Symbol.asyncDispose]());

  /** Opens the stream with hand-made bytes; the result gives what came of it so far. */
  async function open(source: FeedSource) {
    const server = await world.serve({}, { follow: source.follow });
    const session = world.dial(server.port);
    const stream = session.request({
      ":method": "POST",
      ":path": FOLLOW,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const envelope = Buffer.alloc(5);
    envelope.writeUInt32BE(NODE_A.length, 1);
    stream.end(Buffer.concat([envelope, NODE_A]));
    stream.on("error", () => {});
    return { server, session, stream };
  }

  const bytes = async (stream: ClientHttp2Stream, length: number): Promise<string> => {
    let got = Buffer.alloc(0);
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      got = Buffer.concat([got, chunk as Buffer]);
      if (got.length >= length) break;
    }
    return got.toString("hex");
  };

  test("is on the wire as its protocol says, message by message", async () => {
    const source = new FeedSource("e");
    const messages: readonly [FeedMessage, string][] = [
      [{ type: "snapshot" }, "0a00"],
      [{ type: "pod-gone", uid: "u" }, "1a030a0175"],
      [
        {
          type: "pod",
          pod: fedPod({ uid: "u", namespace: "n", name: "m", addresses: ["1.2.3.4"] }),
        },
        "12120a017512016e1a016d2207312e322e332e34",
      ],
      [
        { type: "session", id: 7, session: { outcome: "failed", code: "no_role", reason: "y" } },
        "221008071a0c0a076e6f5f726f6c65120179",
      ],
      [
        { type: "in-sync", position: { epoch: "e", revision: 300 }, baseArn: "b" },
        "320b0a060a016510ac02120162",
      ],
      [{ type: "heartbeat" }, "3a00"],
      [{ type: "drain" }, "4200"],
    ];
    source.say(...messages.map(([message]) => message));
    const expected = messages
      .map(([, hex]) => `00${(hex.length / 2).toString(16).padStart(8, "0")}${hex}`)
      .join("");
    const { stream } = await open(source);
    assert.equal(await bytes(stream, expected.length / 2), expected);
    assert.deepEqual(await source.streams.first("followed"), {
      type: "followed",
      node: "node-a",
      held: undefined,
    });
    stream.close();
  });

  test("ends at the server when the agent goes, in whatever way", async () => {
    for (const leave of ["stream", "session"] as const) {
      const source = new FeedSource("e");
      source.say({ type: "snapshot" });
      const { stream, session } = await open(source);
      await bytes(stream, 1);
      if (leave === "stream") stream.close(constants.NGHTTP2_CANCEL);
      else session.destroy();
      await source.streams.first("left");
      assert.equal(source.open, 0);
    }
  });

  test("waits for an agent that does not read, holds one batch for it, and tells when it goes", async () => {
    const source = new FeedSource("e");
    const { server, stream } = await open(source);
    const reason = "x".repeat(2_000);
    let taken = 0;
    const message = {
      type: "session",
      id: 1,
      session: { outcome: "failed", code: "sts_denied", reason },
    } as const;
    source.say(
      ...Array.from({ length: 2_000 }, () => message).map((each) => ({
        ...each,
        get id() {
          taken += 1;
          return 1;
        },
      })),
    );
    taken = 0;
    await source.streams.first("followed");
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(taken < 200, `${taken} messages were taken for a peer that reads none`);
    stream.close();
    assert.equal((await server.events.first("call_handled")).code, "Canceled");
  });

  test("is refused where the server can't say what is true, so that another is asked", async () => {
    const source = new FeedSource("e");
    source.refusal = new AppError("not_ready", "pods have not been listed yet");
    const server = await world.serve({}, { follow: source.follow });
    const { headers, trailers } = await rawCall(world.dial(server.port), FOLLOW, NODE_A);
    const status = { ...headers, ...trailers };
    assert.equal(status["grpc-status"], "14");
    assert.equal(status["rolecall-code"], "not_ready");
  });

  test("is unknown to a server without it", async () => {
    const server = await world.serve({});
    const { headers } = await rawCall(world.dial(server.port), FOLLOW, NODE_A);
    assert.equal(headers["grpc-status"], "12");
  });
});
