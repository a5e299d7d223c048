declare const brand: unique symbol;

/** A validated IAM role ARN: `arn:<partition>:iam::<12 digits>:role/<path/name>`. */
export type RoleArn = string & { readonly [brand]: "RoleArn" };

/** The account that a role is in. */
export function accountOf(role: RoleArn): string {
  return role.split(":")[4] ?? "";
}
