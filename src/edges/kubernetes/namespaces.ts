import { asRecord, asText } from "#core/json.ts";
import { ANNOTATIONS, type Namespace } from "#core/pod/pod.ts";
import { share } from "./share.ts";

/** What is kept of a Kubernetes namespace; undefined for an object without a name. */
export function projectNamespace(object: unknown): Namespace | undefined {
  const metadata = asRecord(asRecord(object)["metadata"]);
  const name = asText(metadata["name"]);
  if (name === "") return undefined;
  const annotations = asRecord(metadata["annotations"]);
  const permitted = annotations[ANNOTATIONS.permitted];
  return {
    name: share(name),
    resourceVersion: asText(metadata["resourceVersion"]),
    permitted: typeof permitted === "string" ? permitted : undefined,
    requireImdsv2: isAsked(annotations[ANNOTATIONS.requireImdsv2]),
  };
}

/** Any value but `false` asks: a slip must not leave open what was to be closed. */
function isAsked(annotation: unknown): boolean {
  return typeof annotation === "string" && annotation !== "false";
}
