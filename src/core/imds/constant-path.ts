/** By AWS's list of instance metadata categories; the version is any segment. */
const CONSTANT =
  /^\/[^/]+\/(?:meta-data\/(?:instance-id|instance-type|ami-id|placement\/[\w-]+)|dynamic\/instance-identity\/document)\/?$/;

/** Whether what the metadata service says at a normalised path stays the same while the instance runs. */
export function isConstant(path: string): boolean {
  return CONSTANT.test(path);
}
