import { isIP } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type AddressDispute, DISPUTES } from "#core/feed/address-dispute.ts";
import { normalizeAddress } from "#core/pod/address.ts";
import type { ReportRequest, ReportRequestSchema } from "./gen/rolecall/v1/node_feed_pb.ts";

/** The pods of one dispute that are looked at; the protocol's bound. */
const PODS_MAX = 8;

/** A dispute as an agent reports it. */
export function disputeToWire(
  node: string,
  { address, between, podUids }: AddressDispute,
): MessageInitShape<typeof ReportRequestSchema> {
  return {
    node,
    body: { case: "addressDispute", value: { address, between, podUids: [...podUids] } },
  };
}

/** What an agent reported; undefined for what is no address, or a kind that this version does not know. */
export function disputeFromWire({ body }: ReportRequest): AddressDispute | undefined {
  if (body.case !== "addressDispute") return undefined;
  const address = normalizeAddress(body.value.address);
  const between = DISPUTES.find((each) => each === body.value.between);
  if (isIP(address) === 0 || between === undefined) return undefined;
  return { address, between, podUids: body.value.podUids.slice(0, PODS_MAX) };
}
