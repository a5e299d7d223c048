import { asList, asRecord, asText } from "#core/json.ts";
import { ANNOTATIONS, type Pod, type PodPhase } from "#core/pod/pod.ts";
import { Secret } from "#core/secret.ts";
import { share } from "./share.ts";

/** Kubernetes gives a pod one address per family; a few more are kept in case that changes. */
const ADDRESSES_MAX = 8;
/** Kubernetes' mark of the object that stands for a static pod. */
const MIRROR = "kubernetes.io/config.mirror";
const PHASES: ReadonlySet<string> = new Set(["Pending", "Running", "Succeeded", "Failed"]);

/** What is kept of a Kubernetes pod; undefined for an object without UID, namespace or name. */
export function projectPod(object: unknown): Pod | undefined {
  const { metadata, spec, status } = asRecord(object);
  const about = asRecord(metadata);
  const [uid, name] = [asText(about["uid"]), asText(about["name"])];
  const namespace = share(asText(about["namespace"]));
  if (uid === "" || name === "" || namespace === "") return undefined;
  const annotations = asRecord(about["annotations"]);
  const externalId = optional(annotations[ANNOTATIONS.externalId]);
  const role = optional(annotations[ANNOTATIONS.role]);
  const wanted = asRecord(spec);
  const present = asRecord(status);
  return {
    uid,
    namespace,
    name,
    resourceVersion: asText(about["resourceVersion"]),
    node: share(asText(wanted["nodeName"])),
    addresses: addressesOf(present["podIPs"], present["podIP"]),
    phase: phaseOf(asText(present["phase"])),
    hostNetwork: wanted["hostNetwork"] === true,
    isStatic: annotations[MIRROR] !== undefined,
    deleting: asText(about["deletionTimestamp"]) !== "",
    createdAt: Date.parse(asText(about["creationTimestamp"])) || 0,
    role: role === undefined ? undefined : share(role),
    sessionName: optional(annotations[ANNOTATIONS.sessionName]),
    externalId: externalId === undefined ? undefined : new Secret(externalId),
  };
}

function addressesOf(many: unknown, one: unknown): readonly string[] {
  const addresses = asList(many)
    .slice(0, ADDRESSES_MAX)
    .map((entry) => asText(asRecord(entry)["ip"]))
    .filter((address) => address !== "");
  if (addresses.length > 0) return addresses;
  return asText(one) === "" ? [] : [asText(one)];
}

function phaseOf(text: string): PodPhase {
  return PHASES.has(text) ? (text as PodPhase) : "Unknown";
}

function optional(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
