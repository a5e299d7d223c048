import { AssumeRoleCommand, type STSClient } from "@aws-sdk/client-sts";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import type { IssueCredentials } from "#core/session/sessions.ts";
import { stsError } from "./sts-error.ts";

/**
 * Issues sessions by AssumeRole.
 *
 * Fails with `sts_denied`, `sts_throttled` or `sts_unavailable`; an answer without all four fields,
 * or one that has already expired, counts as the last.
 */
export function stsIssuer(client: STSClient, clock: Clock): IssueCredentials {
  return async ({ role, sessionName, externalId, durationSeconds }, signal) => {
    try {
      const { Credentials: issued } = await client.send(
        new AssumeRoleCommand({
          RoleArn: role,
          RoleSessionName: sessionName,
          DurationSeconds: durationSeconds,
          ...(externalId === undefined ? {} : { ExternalId: externalId.reveal() }),
        }),
        { abortSignal: signal },
      );
      const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = issued ?? {};
      const expiresAt = Expiration?.getTime() ?? Number.NaN;
      if (!AccessKeyId || !SecretAccessKey || !SessionToken || Number.isNaN(expiresAt)) {
        throw new AppError("sts_unavailable", "STS cannot be used: its answer is not complete");
      }
      if (expiresAt <= clock.now()) {
        throw new AppError(
          "sts_unavailable",
          "STS issued credentials that have already expired; compare the clocks",
        );
      }
      return {
        accessKeyId: AccessKeyId,
        secretAccessKey: new Secret(SecretAccessKey),
        sessionToken: new Secret(SessionToken),
        issuedAt: clock.now(),
        expiresAt,
      };
    } catch (error) {
      signal.throwIfAborted();
      throw stsError(error);
    }
  };
}
