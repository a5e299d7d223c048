import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromInstanceMetadata } from "@aws-sdk/credential-providers";
import { AppError } from "#core/errors.ts";
import type { Credentials } from "#core/session/credentials.ts";
import {
  CREDENTIALS,
  type EndpointWorld,
  WAYS_IN,
  serveEndpoint,
} from "#test/metadata-endpoint.ts";

const ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const LIST = "/latest/meta-data/iam/security-credentials/";
const V1 = [`GET ${LIST}`, `GET ${LIST}path/my-role`];
const V2 = ["PUT /latest/api/token", ...V1];
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Credentials that the SDK, which has its own clock, finds alive. */
function alive(accessKeyId: string): Credentials {
  const issuedAt = Date.now();
  return { ...CREDENTIALS, accessKeyId, issuedAt, expiresAt: issuedAt + 3_600_000 };
}

/** An SDK in a pod of this world. */
function sdkIn({ port }: EndpointWorld, host: string, v1Disabled = false) {
  const provide = fromInstanceMetadata({ ec2MetadataV1Disabled: v1Disabled, logger: quiet });
  return async (): ReturnType<typeof provide> => {
    const before = process.env[ENDPOINT];
    process.env[ENDPOINT] = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    try {
      return await provide();
    } finally {
      if (before === undefined) delete process.env[ENDPOINT];
      else process.env[ENDPOINT] = before;
    }
  };
}

function requests(world: EndpointWorld): string[] {
  return world.events.splice(0).map(({ method, path }) => `${method} ${path}`);
}

for (const { host, skip } of WAYS_IN) {
  describe(`the AWS SDK for JavaScript over ${host}`, { timeout: 20_000, skip }, () => {
    for (const v1Disabled of [false, true]) {
      const fallback = v1Disabled ? "without" : "with";
      test(`gets credentials, and those that follow, ${fallback} the fallback to IMDSv1`, async () => {
        await using world = await serveEndpoint({ host });
        const provide = sdkIn(world, host, v1Disabled);
        world.credentials = alive("ASIA1");
        const first = await provide();
        const asked = requests(world);
        world.credentials = alive("ASIA2");
        const second = await provide();

        assert.deepEqual([first.accessKeyId, second.accessKeyId], ["ASIA1", "ASIA2"]);
        assert.deepEqual([first.secretAccessKey, first.sessionToken], ["a<secret>", "token"]);
        assert.ok((first.expiration?.getTime() ?? 0) > Date.now() + 3_500_000);
        assert.deepEqual([asked, requests(world)], [V2, V2]);
      });

      test(`gets them where tokens are required, ${fallback} that fallback`, async () => {
        await using world = await serveEndpoint({ host });
        world.pod = { ...world.pod, requireImdsv2: true };
        world.credentials = alive("ASIA1");
        assert.equal((await sdkIn(world, host, v1Disabled)()).accessKeyId, "ASIA1");
        assert.deepEqual(requests(world), V2);
      });
    }

    test("goes on with IMDSv1 where it gets no token, if it may", async () => {
      await using world = await serveEndpoint({ host });
      world.credentials = alive("ASIA1");
      world.issuesTokens = false;
      assert.equal((await sdkIn(world, host)()).accessKeyId, "ASIA1");
      assert.deepEqual(requests(world).slice(1), V1);
      await assert.rejects(sdkIn(world, host, true)(), { name: "InstanceMetadataV1FallbackError" });
    });

    test("gets none over IMDSv1 where tokens are required", async () => {
      await using world = await serveEndpoint({ host });
      world.pod = { ...world.pod, requireImdsv2: true };
      world.issuesTokens = false;
      await assert.rejects(sdkIn(world, host)(), { statusCode: 401 });
    });

    const failures = [
      { code: "sts_unavailable", error: { statusCode: 500 } },
      { code: "server_unavailable", error: { statusCode: 500 } },
      { code: "pod_not_found", error: { statusCode: 500 } },
      { code: "namespace_forbids", error: { statusCode: 404 } },
      { code: "sts_denied", error: { name: "CredentialsProviderError" } },
    ] as const;
    for (const { code, error } of failures) {
      test(`is told of ${code}, and gets credentials once they are there`, async () => {
        await using world = await serveEndpoint({ host });
        const provide = sdkIn(world, host);
        world.credentials = new AppError(code, "why");
        await assert.rejects(provide(), error);
        world.credentials = alive("ASIA1");
        assert.equal((await provide()).accessKeyId, "ASIA1");
      });
    }
  });
}
