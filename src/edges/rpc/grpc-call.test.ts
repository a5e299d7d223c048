import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type ServerHttp2Stream } from "node:http2";
import type { ClientHttp2Session, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { callHeaders, grpcCall } from "./grpc-call.ts";
import { Code } from "./grpc-code.ts";
import type { GrpcFailure } from "./grpc-failure.ts";
import { framed } from "./grpc-messages.ts";

const OK = { ":status": 200, "content-type": "application/grpc" };

describe("grpcCall", { timeout: 10_000 }, () => {
  const server = createServer();
  /** What the server does with the next call. */
  let answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
  let session: ClientHttp2Session;
  before(async () => {
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => {});
      answer(stream, headers);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  after(() => {
    session.destroy();
    server.close();
  });

  /** Calls, and says which messages came. */
  async function call(signal = new AbortController().signal): Promise<readonly string[]> {
    const messages: string[] = [];
    await grpcCall(session.request({ ...callHeaders(1_500), ":path": "/a.B/C" }), {
      request: Buffer.from("asked"),
      onMessage: (message) => void messages.push(Buffer.from(message).toString()),
      signal,
    });
    return messages;
  }

  function end(stream: ServerHttp2Stream, bytes: Uint8Array, trailers: OutgoingHttpHeaders): void {
    stream.respond(OK, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(bytes);
  }

  const messages = Buffer.concat(["one", "", "three"].map((text) => framed(Buffer.from(text))));

  test("asks as gRPC does", async () => {
    const asked = Promise.withResolvers<[IncomingHttpHeaders, Buffer]>();
    answer = (stream, headers) => {
      stream.on("data", (chunk: Buffer) => asked.resolve([headers, chunk]));
      end(stream, messages, { "grpc-status": "0" });
    };
    await call();
    const [headers, body] = await asked.promise;
    const { ":method": method, ":path": path, te, "content-type": type } = headers;
    assert.deepEqual(
      [method, path, te, type, headers["grpc-timeout"]],
      ["POST", "/a.B/C", "trailers", "application/grpc", "1500m"],
    );
    assert.equal(body.toString("latin1"), "\0\0\0\0\x05asked");
  });

  test("takes messages however they are cut", async () => {
    for (const at of [0, 1, 4, 5, 7, 8, 12, messages.length]) {
      answer = (stream) => {
        stream.respond(OK, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.write(messages.subarray(0, at), () => stream.end(messages.subarray(at)));
      };
      assert.deepEqual(await call(), ["one", "", "three"]);
    }
  });

  test("fails with what the server says, in headers or in trailers", async () => {
    const said = { "grpc-status": "5", "grpc-message": "no %F0%9F%90%84", "rolecall-code": "x" };
    const expected = { code: Code.NotFound, message: "no 🐄" };
    answer = (stream) => stream.respond({ ...OK, ...said }, { endStream: true });
    await assert.rejects(call(), expected);
    answer = (stream) => end(stream, messages, said);
    await assert.rejects(call(), expected);
    const failure = await call().catch((error: GrpcFailure) => error);
    assert.equal((failure as GrpcFailure).trailer("rolecall-code"), "x");
  });

  const bad: readonly {
    what: string;
    code: Code;
    answer: (stream: ServerHttp2Stream) => void;
    message?: RegExp;
  }[] = [
    {
      what: "another status of HTTP",
      code: Code.Unavailable,
      answer: (stream) =>
        stream.respond({ ...OK, ":status": 503, "grpc-status": "0" }, { endStream: true }),
      message: /503/,
    },
    {
      what: "another type",
      code: Code.Unavailable,
      answer: (stream) =>
        stream.respond({ ":status": 200, "content-type": "text/html", "grpc-status": "0" }),
      message: /text\/html/,
    },
    {
      what: "no status",
      code: Code.Unavailable,
      answer: (stream) => {
        stream.respond(OK);
        stream.end(messages);
      },
    },
    {
      what: "a status that is none",
      code: Code.Unknown,
      answer: (stream) => end(stream, messages, { "grpc-status": "fine" }),
      message: /^Unknown$/,
    },
    {
      what: "a text that is not encoded",
      code: Code.Unknown,
      answer: (stream) => end(stream, messages, { "grpc-status": "2", "grpc-message": "50%" }),
      message: /^50%$/,
    },
    {
      what: "a message that is compressed",
      code: Code.Internal,
      answer: (stream) => end(stream, Buffer.from([1, 0, 0, 0, 0]), { "grpc-status": "0" }),
    },
    {
      what: "a message that is too large",
      code: Code.ResourceExhausted,
      answer: (stream) =>
        end(stream, Buffer.from([0, 0, 1, 0, 1, ...Buffer.alloc(65_537)]), { "grpc-status": "0" }),
    },
    {
      what: "a message that is cut short",
      code: Code.Internal,
      answer: (stream) => end(stream, messages.subarray(0, -1), { "grpc-status": "0" }),
    },
    {
      what: "the stream's end by a reset",
      code: Code.Unavailable,
      answer: (stream) => stream.close(7),
    },
  ];
  for (const { what, code, answer: badly, message = /./ } of bad) {
    test(`fails on ${what}`, async () => {
      answer = badly;
      await assert.rejects(call(), { code, message });
    });
  }

  test("ends at once when the caller does, and tells the server", async () => {
    const caller = new AbortController();
    const told = Promise.withResolvers<void>();
    answer = (stream) => {
      stream.on("aborted", () => told.resolve());
      caller.abort();
    };
    await assert.rejects(call(caller.signal), { code: Code.Canceled });
    await told.promise;
    await assert.rejects(call(AbortSignal.abort()), { code: Code.Canceled });
  });

  test("takes nothing after it has failed, and fails with what its taker threw", async () => {
    answer = (stream) => end(stream, messages, { "grpc-status": "0" });
    let taken = 0;
    const failed = grpcCall(session.request({ ...callHeaders(), ":path": "/a.B/C" }), {
      request: Buffer.alloc(0),
      onMessage: () => {
        taken += 1;
        throw new Error("enough");
      },
      signal: new AbortController().signal,
    });
    await assert.rejects(failed, /enough/);
    assert.equal(taken, 1);
  });
});
