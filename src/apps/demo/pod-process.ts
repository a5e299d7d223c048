/**
 * What runs "in a pod" of the demo: an application that knows nothing of Rolecall and uses the AWS
 * SDK as it comes. Each line on its input makes it fetch credentials afresh and ask STS who it is;
 * the answer is one JSON line. No secret is printed.
 */
import http from "node:http";
import { createInterface } from "node:readline";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { fromHttp, fromInstanceMetadata } from "@aws-sdk/credential-providers";

const [address = "", stsEndpoint = ""] = process.argv.slice(2);

// A pod's own address is the source of its connections; here that is one of 127.0.0.0/8.
const agent = http.globalAgent as http.Agent & { options: http.AgentOptions };
Object.assign(agent.options, { localAddress: address });

// As the SDK's own chain decides it.
const provide =
  process.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] === undefined ? fromInstanceMetadata : fromHttp;

async function whoAmI(): Promise<object> {
  const started = performance.now();
  const client = new STSClient({
    region: "eu-west-1",
    endpoint: stsEndpoint,
    credentials: provide({ timeout: 1_000, maxRetries: 0 }),
    maxAttempts: 1,
  });
  try {
    const { Arn } = await client.send(new GetCallerIdentityCommand({}));
    return { arn: Arn, ms: Math.round(performance.now() - started) };
  } catch (error) {
    return {
      error: error instanceof Error ? error.message : String(error),
      ms: Math.round(performance.now() - started),
    };
  } finally {
    client.destroy();
  }
}

for await (const _line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await whoAmI())}\n`);
}
