/**
 * The gRPC metadata in which an agent says which pod its node gave an address to. Kiam's messages have
 * no field for it, and its servers pass over metadata that they don't know.
 */
const POD_UID = "rolecall-pod-uid";
/** Kubernetes' UIDs are UUIDs; what looks unlike one is not looked up. */
const UID = /^[\w-]{1,64}$/;

export function podUidHeaders(podUid: string | undefined): Record<string, string> {
  return podUid === undefined ? {} : { [POD_UID]: podUid };
}

export function podUidFrom(headers: Headers): string | undefined {
  const value = headers.get(POD_UID);
  return value !== null && UID.test(value) ? value : undefined;
}
