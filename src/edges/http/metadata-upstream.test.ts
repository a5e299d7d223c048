import assert from "node:assert/strict";
import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { metadataUpstream } from "./metadata-upstream.ts";

const never = new AbortController().signal;
const TOKEN_PATH = "/latest/api/token";

describe("metadataUpstream", { timeout: 20_000 }, () => {
  const asked: { method: string; url: string; headers: http.IncomingHttpHeaders }[] = [];
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let server: http.Server;
  let endpoint: string;
  let opened = new DisposableStack();
  const connections = () => promisify(server.getConnections.bind(server))();
  before(async () => {
    server = http.createServer((request, response) => {
      const { method = "", url = "", headers } = request;
      asked.push({ method, url, headers });
      if (url === TOKEN_PATH && method === "PUT") response.end("node-token");
      else answer(request, response);
    });
    // An idle connection ends by who opened it, or not at all.
    server.keepAliveTimeout = 0;
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => void server.close());
  beforeEach(() => {
    opened = new DisposableStack();
    asked.length = 0;
    answer = (request, response) => response.end(`about ${request.url}`);
  });

  afterEach(() => opened.dispose());

  const setUp = () => {
    const clock = new FakeClock();
    const upstream = metadataUpstream({ endpoint, clock });
    opened.use(upstream);
    return { clock, upstream, ask: upstream.ask };
  };

  test("asks with a token of its own and nothing that a pod could have sent", async () => {
    const { body, status } = await setUp().ask("/latest/meta-data/ami-id", never);

    assert.deepEqual([status, body], [200, "about /latest/meta-data/ami-id"]);
    assert.deepEqual(
      asked.map(({ method, url }) => `${method} ${url}`),
      [`PUT ${TOKEN_PATH}`, "GET /latest/meta-data/ami-id"],
    );
    const names = ["connection", "host", "x-aws-ec2-metadata-token"];
    assert.deepEqual(Object.keys(asked[1]?.headers ?? {}).toSorted(), names);
    assert.equal(asked[1]?.headers["x-aws-ec2-metadata-token"], "node-token");
  });

  test("asks once for all who ask at once, and anew when some seconds have passed", async () => {
    const { clock, ask } = setUp();
    await Promise.all([ask("/a", never), ask("/a", never), ask("/a", never)]);
    await ask("/a", never);
    assert.equal(asked.filter(({ url }) => url === "/a").length, 1);

    await clock.advance(5_000);
    await ask("/a", never);
    assert.equal(asked.filter(({ url }) => url === "/a").length, 2);
  });

  const constant = [
    "/latest/meta-data/instance-id",
    "/latest/meta-data/placement/region",
    "/2021-07-15/meta-data/placement/availability-zone/",
    "/latest/dynamic/instance-identity/document",
  ];
  for (const path of constant) {
    test(`asks once for ${path}, which stays what it is, once it was told`, async () => {
      const { clock, ask } = setUp();
      answer = (_request, response) => response.writeHead(404).end();
      assert.equal((await ask(path, never)).status, 404);
      answer = (_request, response) => response.end("told");
      await clock.advance(5_000);
      for (let day = 0; day < 3; day += 1) {
        assert.equal((await ask(path, never)).body, "told");
        await clock.advance(86_400_000);
      }
      assert.equal(asked.filter(({ url }) => url === path).length, 2);
    });
  }

  test("asks again at once after a failure of the service", async () => {
    const { ask } = setUp();
    answer = (_request, response) => response.writeHead(503).end();
    assert.equal((await ask("/a", never)).status, 503);
    answer = (_request, response) => response.end("well");
    assert.equal((await ask("/a", never)).body, "well");
  });

  test("asks for a bounded number of paths at once, and keeps a bounded number", async () => {
    const { ask } = setUp();
    const wanted = Array.from({ length: 33 }, (_, index) => ask(`/${index}`, never));
    await assert.rejects(wanted[32] ?? assert.fail(), { code: "overloaded" });
    await Promise.all(wanted.slice(0, 32));

    for (let index = 100; index < 400; index += 1) await ask(`/${index}`, never);
    asked.length = 0;
    await ask("/399", never);
    await ask("/100", never);
    assert.deepEqual(
      asked.filter(({ method }) => method === "GET").map(({ url }) => url),
      ["/100"],
    );
  });

  test("keeps a caller that leaves from taking the answer away from others", async () => {
    const { ask } = setUp();
    const leaves = new AbortController();
    const both = [ask("/a", leaves.signal), ask("/a", never)];
    leaves.abort(new Error("gone"));
    assert.equal((await both[1])?.body, "about /a");
    await both[0];
  });

  const failures: { name: string; answer: typeof answer }[] = [
    { name: "cuts the connection", answer: (_request, response) => response.destroy() },
    {
      name: "sends more than 64 kB",
      answer: (_request, response) => response.end("x".repeat(70_000)),
    },
    {
      name: "breaks off half-way",
      answer: (_request, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("half", () => response.destroy());
      },
    },
    { name: "says nothing", answer: () => undefined },
    {
      name: "says it too slowly",
      answer: (_request, response) => {
        const drop = setInterval(() => response.write("x"), 100);
        response.once("close", () => clearInterval(drop));
      },
    },
  ];
  for (const failure of failures) {
    test(`says that the service can't be reached when it ${failure.name}, and asks again`, async () => {
      const { ask } = setUp();
      ({ answer } = failure);
      await assert.rejects(ask("/a", never), {
        code: "server_unavailable",
        message: "the metadata service cannot be reached",
      });

      answer = (_request, response) => response.end("again");
      assert.equal((await ask("/a", never)).body, "again");
    });
  }

  test("closes its connections when it is disposed of", async () => {
    const { upstream, ask } = setUp();
    await ask("/a", never);
    assert.ok((await connections()) > 0);

    upstream[Symbol.dispose]();

    while ((await connections()) > 0) await settle();
  });

  test("ends what is asked, and what waits for a connection, when it is disposed of", async () => {
    const { upstream, ask } = setUp();
    answer = () => undefined;
    const asking = Promise.allSettled(
      Array.from({ length: 12 }, (_, index) => ask(`/${index}`, never)),
    );
    while (asked.filter(({ method }) => method === "GET").length < 8) await settle();
    const before = asked.length;
    upstream[Symbol.dispose]();

    assert.ok((await asking).every(({ status }) => status === "rejected"));
    while ((await connections()) > 0) await settle();
    assert.equal(asked.length, before);
  });

  test("passes on that the service does not know a path", async () => {
    answer = (_request, response) => response.writeHead(404, { "content-type": "text/html" }).end();
    const { status, contentType } = await setUp().ask("/nope", never);
    assert.deepEqual([status, contentType], [404, "text/html"]);
  });
});
