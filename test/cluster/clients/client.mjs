// Prints who the pod is for STS, asked with the credentials that AWS SDK for JavaScript v3 finds by itself.
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const sts = new STSClient({ region: "us-east-1", endpoint: process.env.STS_URL, maxAttempts: 1 });
console.log((await sts.send(new GetCallerIdentityCommand({}))).Arn);
