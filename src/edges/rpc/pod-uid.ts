import type { HandlerContext } from "@connectrpc/connect";

/**
 * The gRPC metadata in which an agent says which pod its node gave an address to. Kiam's messages have
 * no field for it, and its servers pass over metadata that they don't know. A server that minds it sends it back.
 */
export const POD_UID = "rolecall-pod-uid";
/** Kubernetes' UIDs are UUIDs; what looks unlike one is not looked up. */
const UID = /^[\w-]{1,64}$/;

export function podUidHeaders(podUid: string | undefined): Record<string, string> {
  return podUid === undefined ? {} : { [POD_UID]: podUid };
}

/** The UID that a call names, which is sent back with the answer. */
export function mindPodUid({
  requestHeader,
  responseHeader,
}: Pick<HandlerContext, "requestHeader" | "responseHeader">): string | undefined {
  const value = requestHeader.get(POD_UID);
  if (value === null || !UID.test(value)) return undefined;
  responseHeader.set(POD_UID, value);
  return value;
}
