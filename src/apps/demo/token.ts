import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { podClaims, signToken } from "#test/token-issuer.ts";
import type { World } from "./world.ts";

/** What the kubelet does for a projected token: the API server signs it, and a file of the pod holds it. */
export async function projectToken(
  { kubernetes, folder }: World,
  pod: { readonly namespace: string; readonly name: string; readonly node: string },
): Promise<string> {
  const [key] = kubernetes.signingKeys;
  if (key === undefined) throw new Error("the API server has no key to sign with");
  const { namespace, name, node } = pod;
  const bound = { namespace, pod: { name, uid: `uid-${namespace}-${name}` }, node: { name: node } };
  const file = join(folder, `${namespace}-${name}.token`);
  await writeFile(file, signToken(key, podClaims(Date.now(), { "kubernetes.io": bound })));
  return file;
}
