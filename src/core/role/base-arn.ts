import { AppError } from "../errors.ts";

/**
 * The prefix of roles that are not written as ARNs, from any ARN of the server's own identity
 * (instance profile, role, or STS caller): partition and account are kept, the path is not
 * (Kiam's rule).
 *
 * @throws {AppError} `invalid_role` when the text names no account.
 */
export function baseArnOf(arn: string): string {
  const [scheme, partition, , , account] = arn.split(":");
  if (scheme !== "arn" || partition === undefined || !/^aws[a-z-]*$/.test(partition)) {
    throw notAnIdentity(arn);
  }
  if (account === undefined || !/^\d{12}$/.test(account)) throw notAnIdentity(arn);
  return `arn:${partition}:iam::${account}:role/`;
}

function notAnIdentity(arn: string): AppError {
  return new AppError(
    "invalid_role",
    `Cannot derive the base ARN from "${arn.slice(0, 200)}": expected an ARN with a 12-digit account; give --role-base-arn`,
  );
}
