/** Who say different things of an address: the node's own records, its kernel and a server, two of them. */
export const DISPUTES = [
  "records",
  "record-and-kernel",
  "server-and-record",
  "server-and-kernel",
] as const;
export type DisputeBetween = (typeof DISPUTES)[number];

/** Nobody is right about whose an address is, so that its requests are refused. */
export interface AddressDispute {
  readonly address: string;
  readonly between: DisputeBetween;
  /** The pods that are named for it. A static pod's UID on its node is not the one in the API. */
  readonly podUids: readonly string[];
}

/** One sentence for people. */
export function reasonOfDispute({
  address,
  between,
}: Pick<AddressDispute, "address" | "between">): string {
  switch (between) {
    case "records":
      return `the node recorded ${address} for several pods`;
    case "record-and-kernel":
      return `the node recorded ${address} for another pod than the one that is there`;
    case "server-and-record":
      return `the node recorded ${address} for another pod than the one that Kubernetes names`;
    case "server-and-kernel":
      return `${address} has moved since the server named its pod`;
  }
}
