import { GetCallerIdentityCommand, type STSClient } from "@aws-sdk/client-sts";
import { AppError } from "#core/errors.ts";
import { stsError } from "./sts-error.ts";

/**
 * The ARN that the server has for AWS.
 *
 * @throws {AppError} as STS's errors are; the same call may succeed later.
 */
export async function findServerIdentity(client: STSClient, signal: AbortSignal): Promise<string> {
  try {
    const { Arn } = await client.send(new GetCallerIdentityCommand({}), { abortSignal: signal });
    if (!Arn) throw new AppError("sts_unavailable", "STS cannot be used: it names no identity");
    return Arn;
  } catch (error) {
    signal.throwIfAborted();
    throw stsError(error);
  }
}
