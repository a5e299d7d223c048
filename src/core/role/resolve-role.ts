import { AppError } from "../errors.ts";
import { ANNOTATIONS } from "../pod/pod.ts";
import { show } from "../text.ts";
import type { RoleArn } from "./role-arn.ts";

/** A role as it was named and as it was resolved. */
export interface Role {
  /** Path and name without the leading slash, as AWS writes them after `role/`. */
  readonly name: string;
  readonly arn: RoleArn;
}

/** IAM's limits: a path of up to 512 characters, a name of up to 64 of these characters. */
const ROLE_ARN =
  /^arn:(?<partition>aws[a-z-]*):iam::\d{12}:role\/(?<path>(?:[\u0021-\u007e]{0,511}\/)?)(?<name>[\w+=,.@-]{1,64})$/;

const NEXT_STEP = `correct the annotation ${ANNOTATIONS.role}`;

/**
 * Resolves a role as an annotation names it: a name, path/name, either with one leading slash, or
 * an ARN (Kiam's table, specification §5.1). What resolves to no IAM role ARN is refused, so that
 * nothing downstream has to look again; so is a role of another partition than the base ARN's, which
 * STS can never assume.
 *
 * @param baseArn prefix of roles that are not ARNs, such as `arn:aws:iam::123456789012:role/`; where
 *   it is empty, only ARNs are roles
 * @throws {AppError} `invalid_role`
 */
export function resolveRole(text: string, baseArn: string): Role {
  if (text === "") {
    throw new AppError("invalid_role", "role can't be empty");
  }
  const isArn = text.startsWith("arn:");
  const relative = text.startsWith("/") ? text.slice(1) : text;
  const arn = isArn ? text : `${baseArn}${relative}`;
  const parsed = arn.length > 2_048 ? undefined : ROLE_ARN.exec(arn)?.groups;
  if (parsed === undefined) throw notARole(text, arn, isArn);
  const partition = baseArn.split(":", 2)[1];
  if (partition !== undefined && parsed["partition"] !== partition) {
    throw new AppError(
      "invalid_role",
      `role "${show(text)}" is in the partition ${parsed["partition"]}, and roles can only be assumed in ${partition}; ${NEXT_STEP}`,
    );
  }
  return {
    name: isArn ? `${parsed["path"]}${parsed["name"]}` : relative,
    arn: arn as RoleArn,
  };
}

function notARole(text: string, arn: string, isArn: boolean): AppError {
  const resolved = isArn ? "" : `, which resolves to "${show(arn)}",`;
  return new AppError(
    "invalid_role",
    `role "${show(text)}"${resolved} is not an IAM role: expected a role name, path/name, or ` +
      `arn:<partition>:iam::<12-digit account>:role/<path/name>; ${NEXT_STEP}`,
  );
}
