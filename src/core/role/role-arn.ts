declare const brand: unique symbol;

/** A validated IAM role ARN: `arn:<partition>:iam::<12 digits>:role/<path/name>`. */
export type RoleArn = string & { readonly [brand]: "RoleArn" };
