// Prints who the pod is for STS, with the credentials that AWS SDK for JavaScript v3 finds by itself; then drops them
// and asks anew until that changed.
import { setTimeout as sleep } from "node:timers/promises";

import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const sts = new STSClient({ region: "us-east-1", endpoint: process.env.STS_URL, maxAttempts: 1 });
const who = async () => (await sts.send(new GetCallerIdentityCommand({}))).Arn;

const first = await who();
console.log(first);
let next = first;
while (next === first) {
  await sleep(250);
  try {
    await sts.config.credentials({ forceRefresh: true });
    next = await who();
  } catch (error) {
    // It fails when the role changes after the client was told of it and before it has its credentials.
    console.error(error);
  }
}
console.log(next);
