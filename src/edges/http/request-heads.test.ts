import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestHeads } from "./request-heads.ts";

const head = (value: string): string => `GET / HTTP/1.1\r\nHost: a\r\nX: ${value}`;

test("a head is read once, and again when too many others came or when it is long", () => {
  const heads = new RequestHeads();
  const first = heads.read(head("first"));
  assert.equal(heads.read(head("first")), first);

  for (let other = 0; other < 1_024; other += 1) heads.read(head(`${other}`));
  assert.notEqual(heads.read(head("first")), first);
  assert.deepEqual(heads.read(head("first")), first);

  const long = head("x".repeat(2_048));
  assert.notEqual(heads.read(long), heads.read(long));
});

test("what is refused is not remembered", () => {
  const heads = new RequestHeads();
  assert.deepEqual([heads.read("GET /"), heads.read("GET /")], [400, 400]);
});
