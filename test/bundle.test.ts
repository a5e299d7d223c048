import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bundle } from "../tools/bundle.ts";

/** What the agent may be made of, and how large it may be before it is minified. */
const AGENT_PACKAGES = /^@bufbuild\/protobuf\//;
const AGENT_BYTES_MAX = 450_000;

describe("the agent's bundle", { timeout: 30_000 }, () => {
  let folder: string;
  let inputs: string[];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "rolecall-bundle-"));
    inputs = Object.keys((await bundle(folder)).agent.inputs);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test("holds no Kubernetes client, no AWS SDK and nothing else that it was not given", () => {
    const packages = inputs
      .map((path) => /node_modules\/(?<name>(?:@[^/]+\/)?[^/]+)/.exec(path)?.groups?.["name"])
      .filter((name) => name !== undefined);
    assert.ok(packages.length > 0);
    assert.deepEqual(
      [...new Set(packages)].filter((name) => !AGENT_PACKAGES.test(`${name}/`)),
      [],
    );
  });

  test("holds none of the server's code", () => {
    assert.deepEqual(
      inputs.filter((path) => /src\/(?:apps\/server|edges\/(?:kubernetes|aws))\//.test(path)),
      [],
    );
  });

  test("is small", async () => {
    assert.ok((await stat(join(folder, "agent.cjs"))).size <= AGENT_BYTES_MAX);
  });
});
