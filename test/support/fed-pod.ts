import type { FedGrant, FedPod, SessionId } from "#core/feed/fed-pod.ts";
import { FeedBatch } from "#core/feed/feed-batch.ts";
import type { FeedChange } from "#core/feed/feed-messages.ts";
import type { PodTable } from "#core/feed/pod-table.ts";
import { Secret } from "#core/secret.ts";
import type { RoleArn } from "#core/role/role-arn.ts";
import type { Credentials } from "#core/session/credentials.ts";

export const BASE_ARN = "arn:aws:iam::123456789012:role/";

/** A running pod as a feed tells of it, with what a test has to say of it. */
export function fedPod(fields: Partial<FedPod> = {}): FedPod {
  return {
    uid: "uid-1",
    namespace: "shop",
    name: "cart",
    addresses: ["10.0.0.1"],
    hostNetwork: false,
    isStatic: false,
    deleting: false,
    requireImdsv2: false,
    role: undefined,
    grant: { outcome: "none" },
    ...fields,
  };
}

export function granted(role: string, session: SessionId): { role: string; grant: FedGrant } {
  return { role, grant: { outcome: "granted", roleArn: `${BASE_ARN}${role}` as RoleArn, session } };
}

export function fedCredentials(accessKeyId: string, expiresAt: number): Credentials {
  return {
    accessKeyId,
    secretAccessKey: new Secret("secret"),
    sessionToken: new Secret("token"),
    issuedAt: 0,
    expiresAt,
  };
}

/** Commits the changes as one batch of the epoch; the first one is a snapshot. */
export function feed(
  table: PodTable,
  changes: readonly FeedChange[],
  { epoch = "epoch-1", revision = 1 } = {},
): void {
  const batch = new FeedBatch();
  if (table.position === undefined) batch.add({ type: "snapshot" });
  for (const change of changes) batch.add(change);
  table.commit(batch, { type: "in-sync", position: { epoch, revision }, baseArn: BASE_ARN });
}
