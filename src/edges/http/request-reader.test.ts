import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type SeenRequest, nodeHttpVerdict } from "#test/node-http-verdict.ts";
import type { RequestHead } from "./request-head.ts";
import { RequestHeads } from "./request-heads.ts";
import { RequestReader } from "./request-reader.ts";

/** What the reader makes of bytes that come in these pieces: the requests, and what it says last. */
function read(...pieces: string[]): { seen: SeenRequest[]; last: string | number } {
  const reader = new RequestReader(new RequestHeads());
  const seen: SeenRequest[] = [];
  let last: string | number = "idle";
  for (const piece of pieces) {
    reader.add(Buffer.from(piece, "latin1"));
    for (;;) {
      const next = reader.next();
      if (typeof next === "number") return { seen, last: next };
      if (typeof next === "string") {
        last = next;
        break;
      }
      seen.push(asSeen(next, pieces.join("")));
      if (!next.isKept) return { seen, last: "closed" };
    }
  }
  return { seen, last };
}

/** The request with all the headers that names in these bytes could have. */
function asSeen({ method, target, headers }: RequestHead, bytes: string): SeenRequest {
  const names = [...bytes.matchAll(/(?<=\n)[^:\r\n]+(?=:)/g)].map(([name]) => name.toLowerCase());
  const present = names.filter((name) => headers.get(name) !== undefined);
  return [
    method,
    target,
    Object.fromEntries(present.map((name) => [name, headers.get(name) ?? ""])),
  ];
}

/** A request with these header lines, and what follows its head. */
function request(lines: string, after = "", first = "PUT /a HTTP/1.1"): string {
  return `${first}\r\nHost: a\r\n${lines}\r\n${after}`;
}

const CHUNKED = "Transfer-Encoding: chunked\r\n";
const SENTINEL = "GET /sentinel HTTP/1.1\r\nHost: a\r\n\r\n";

const WELL_FORMED: readonly string[] = [
  SENTINEL,
  "GET http://169.254.169.254/latest/?a=%20#b HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nhost:[fd00:ec2::254]:80\r\n\r\n",
  request("X-One:1\r\nx-one: \t 2 \t\r\nX-Empty:\r\nX-Blank:   \r\n"),
  request("X-High: caf\u00e9\tbar\r\n!#$%&'*+-.^_`|~: x\r\n"),
  request("Content-Length: 5\r\n", "hello"),
  request("Content-Length: 0\r\n"),
  request("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"),
  request(CHUNKED, "5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n"),
  request("Transfer-Encoding: Chunked\r\n", "0\r\n\r\n"),
  request("Connection: close\r\n"),
  request("Connection: x, Close\r\n"),
  request("Connection: Upgrade\r\nUpgrade: h2c\r\n"),
  request("Content-Length: 29\r\n", SENTINEL),
];

/** What `node:http` refuses, or takes for the body of the request before. */
const HARMFUL: Readonly<Record<string, string>> = {
  "two equal lengths": request("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
  "two lengths": request("Content-Length: 5\r\nContent-Length: 0\r\n", "hello"),
  "a list of lengths": request("Content-Length: 5, 5\r\n", "hello"),
  "a length and chunks": request(`Content-Length: 5\r\n${CHUNKED}`, "0\r\n\r\n"),
  "chunks and a length": request(`${CHUNKED}Content-Length: 5\r\n`, "0\r\n\r\n"),
  "a length with a sign": request("Content-Length: +5\r\n", "hello"),
  "a negative length": request("Content-Length: -5\r\n", "hello"),
  "a length in hexadecimal": request("Content-Length: 0x5\r\n", "hello"),
  "an empty length": request("Content-Length:\r\n"),
  "an endless length": request(`Content-Length: ${"9".repeat(40)}\r\n`),
  "a coding that is not known": request("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
  "a coding after the chunks": request("Transfer-Encoding: chunked, x\r\n", "0\r\n\r\n"),
  "a coding with a vertical tab": request("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"),
  "a blank before a colon": request("X-A : b\r\n"),
  "a tab before a colon": request("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
  "a blank before a name": request(" X-A: b\r\n"),
  "a folded line": request("X-A: b\r\n c\r\n"),
  "a folded length": request("Content-Length:\r\n 5\r\n", "hello"),
  "a line that is no field": request("rubbish\r\n"),
  "a name of no characters": request(": b\r\n"),
  "a name that is no token": request("X(A): b\r\n"),
  "a NUL in a name": request("X\0A: b\r\n"),
  "a NUL in a value": request("X-A: \0b\r\n"),
  "a DEL in a value": request("X-A: \x7fb\r\n"),
  "a bare line feed after a field": request("X-A: b\nX-C: d\r\n"),
  "a bare line feed at the end": "GET /a HTTP/1.1\r\nHost: a\r\n\n",
  "bare line feeds alone": "GET /a HTTP/1.1\nHost: a\n\n",
  "a bare carriage return in a value": request("X-A: b\rX-C: d\r\n"),
  "a bare carriage return after a line": request("X-A: b\r\r\n"),
  "no host": "GET /a HTTP/1.1\r\nX-A: b\r\n\r\n",
  "a version that is none": request("", "", "GET /a HTTP/1.2"),
  "another protocol": request("", "", "GET /a ICE/1.0"),
  "a blank after the version": request("", "", "GET /a HTTP/1.1 "),
  "a tab in the first line": request("", "", "GET\t/a HTTP/1.1"),
  "a method that is not known": request("", "", "EAT /a HTTP/1.1"),
  "a method in lower case": request("", "", "get /a HTTP/1.1"),
  "a blank before the method": request("", "", " GET /a HTTP/1.1"),
  "a target with high bytes": request("", "", "GET /\u00e9 HTTP/1.1"),
  "a target without a slash": request("", "", "GET a HTTP/1.1"),
  "a tunnel": "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
  "a chunk size with a sign": request(CHUNKED, "+5\r\nhello\r\n0\r\n\r\n"),
  "a chunk size with 0x": request(CHUNKED, "0x5\r\nhello\r\n0\r\n\r\n"),
  "a chunk size with a blank": request(CHUNKED, "5 \r\nhello\r\n0\r\n\r\n"),
  "a chunk size of no digits": request(CHUNKED, "\r\nhello\r\n0\r\n\r\n"),
  "a chunk size that overflows": request(CHUNKED, "10000000000000000\r\nhello\r\n0\r\n\r\n"),
  "a chunk that is longer than its size": request(CHUNKED, "4\r\nhello\r\n0\r\n\r\n"),
  "a chunk that is shorter than its size": request(CHUNKED, "6\r\nhello\r\n0\r\n\r\n"),
  "a chunk that a line feed ends": request(CHUNKED, "5\r\nhello\n0\r\n\r\n"),
  "a chunk size that a line feed ends": request(CHUNKED, "5\nhello\r\n0\r\n\r\n"),
  "more than 16 KiB": request(`X-A: ${"b".repeat(20_000)}\r\n`),
  "an expectation that is not known": request("Expect: rubbish\r\n"),
};

/** Where the reader is stricter than `node:http`: no client of the endpoints sends any of it. */
const STRICTER: readonly (readonly [string, string, number])[] = [
  ["an empty line before the request", `\r\n${SENTINEL}`, 400],
  ["no version", "GET /a\r\nHost: a\r\n\r\n", 400],
  ["two blanks before the target", request("", "", "GET  /a HTTP/1.1"), 400],
  ["HTTP/2.0 in the first line", request("", "", "GET /a HTTP/2.0"), 400],
  ["HTTP/0.9 in the first line", request("", "", "GET /a HTTP/0.9"), 400],
  ["a method of no use here", request("", "", "MKACTIVITY /a HTTP/1.1"), 400],
  ["a target with another scheme", request("", "", "GET ftp://a/ HTTP/1.1"), 400],
  ["a target with a user", request("", "", "GET http://u@a/ HTTP/1.1"), 400],
  ["two hosts", request("Host: b\r\n"), 400],
  ["a host with a path", "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
  ["more than 100 fields", request("X-A: b\r\n".repeat(100)), 431],
  ["a body of more than 64 KiB", request("Content-Length: 65537\r\n", "x".repeat(65_537)), 413],
  [
    "chunks of more than 64 KiB",
    request(CHUNKED, `10001\r\n${"x".repeat(65_537)}\r\n0\r\n\r\n`),
    413,
  ],
  [
    "chunks after another coding",
    request("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    400,
  ],
  ["chunks of HTTP/1.0", request(CHUNKED, "0\r\n\r\n", "PUT /a HTTP/1.0"), 400],
  ["an extension of a chunk", request(CHUNKED, "5;a=b\r\nhello\r\n0\r\n\r\n"), 400],
  ["a trailer", request(CHUNKED, "0\r\nX-A: b\r\n\r\n"), 400],
];

describe("the request reader", { timeout: 60_000 }, () => {
  for (const bytes of WELL_FORMED) {
    test(`understands as node:http does: ${JSON.stringify(bytes)}`, async () => {
      const both = bytes + SENTINEL;
      const expected = await nodeHttpVerdict(both);
      assert.ok(expected.length > 0);
      assert.deepEqual(read(both).seen, expected);
    });
  }

  for (const bytes of WELL_FORMED) {
    test(`understands what comes byte by byte: ${JSON.stringify(bytes)}`, () => {
      assert.deepEqual(read(...bytes.split("")), read(bytes));
    });
  }

  for (const [name, bytes] of Object.entries(HARMFUL)) {
    test(`refuses ${name} as node:http does, and what comes behind it`, async () => {
      assert.deepEqual(await nodeHttpVerdict(bytes), []);
      const { seen, last } = read(bytes + SENTINEL);
      assert.deepEqual(seen, []);
      assert.equal(typeof last, "number", String(last));
    });
  }

  for (const [name, bytes, status] of STRICTER) {
    test(`refuses ${name} with ${status}, although node:http takes it`, async () => {
      assert.equal((await nodeHttpVerdict(bytes)).length, 1);
      assert.deepEqual(read(bytes), { seen: [], last: status });
    });
  }

  const seed = fc.constantFrom(
    ...WELL_FORMED,
    ...Object.values(HARMFUL),
    ...STRICTER.map(([, bytes]) => bytes),
  );
  const scrap = fc.constantFrom(
    ..."\r \n \r\n \r\n\r\n \t \0 \v : , ; + - 0 5 a x \x80 \xff".split(" "),
    " ",
    " HTTP/1.1",
    " HTTP/1.0",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    CHUNKED,
    "Host: b\r\n",
    "Connection: close\r\n",
    "0\r\n\r\n",
    SENTINEL,
  );
  const change = fc.record({
    at: fc.nat(),
    cut: fc.nat({ max: 3 }),
    put: fc.option(scrap, { nil: "" }),
  });
  const mutated = fc
    .tuple(seed, fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([bytes, changes]) =>
      changes.reduce((text, { at, cut, put }) => {
        const here = at % (text.length + 1);
        return text.slice(0, here) + put + text.slice(here + cut);
      }, bytes),
    );

  test("takes no request that node:http does not take, and none otherwise than it", async () => {
    await fc.assert(
      fc.asyncProperty(mutated, async (bytes) => {
        const { seen } = read(bytes + SENTINEL);
        const taken = await nodeHttpVerdict(bytes + SENTINEL);
        assert.deepEqual(seen, taken.slice(0, seen.length));
      }),
      { numRuns: 2_000 },
    );
  });

  test("understands the same however the bytes are cut", () => {
    fc.assert(
      fc.property(mutated, fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
        const whole = bytes + SENTINEL;
        const ends = [...cuts.map((cut) => cut % whole.length), whole.length].toSorted(
          (a, b) => a - b,
        );
        const pieces = ends.map((end, at) => whole.slice(ends[at - 1] ?? 0, end));
        assert.deepEqual(read(...pieces).seen, read(whole).seen);
      }),
      { numRuns: 2_000 },
    );
  });
});

test("a head that is a known one but for a byte is another one", () => {
  const heads = ["/a", "/b", "/b", "/a"].map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n`);
  const ends = ["X: 1", "X: 1", "X: 2", "X: 2"];
  const { seen } = read(...heads.map((head, at) => `${head}${ends[at]}\r\n\r\n`));

  assert.deepEqual(
    seen.map(([, target, headers]) => [target, headers["x"]]),
    [
      ["/a", "1"],
      ["/b", "1"],
      ["/b", "2"],
      ["/a", "2"],
    ],
  );
});
