/** One address of each family, where the same is served. */
export interface Endpoint {
  readonly ip: string;
  readonly ip6: string;
}

const METADATA: Endpoint = { ip: "169.254.169.254", ip6: "fd00:ec2::254" };
const CONTAINER_CREDENTIALS: Endpoint = { ip: "169.254.170.23", ip6: "fd00:ec2::23" };

/** Where pods' requests go that are for the agent; port 80 each. */
export function interceptedEndpoints(containerEndpoint: boolean): readonly Endpoint[] {
  return containerEndpoint ? [METADATA, CONTAINER_CREDENTIALS] : [METADATA];
}
