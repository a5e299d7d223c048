/** Segments under which the metadata service keeps credentials, and what issues its tokens. */
const NEVER: ReadonlySet<string> = new Set(["iam", "api", "token"]);
/** How segments start under which it keeps credentials, keys or user data: more of the kind may come. */
const NEVER_STARTS = [
  "security-credentials",
  "identity-credentials",
  "user-data",
  "managed-ssh-keys",
  "public-keys",
];

/** All that paths of the metadata service consist of; anything else could be read in two ways. */
const PLAIN = /^[\w+\-=.,:@/~]*$/;

/**
 * Whether a decoded, normalised path must never be asked for on a pod's behalf, whatever the
 * allow-list says: the answer could be the node's credentials, its keys or its user data.
 *
 * A segment counts wherever it stands and however it is written, so that no prefix, version or
 * letter case leads around it.
 */
export function isNeverAllowed(path: string): boolean {
  if (!PLAIN.test(path)) return true;
  return path
    .toLowerCase()
    .split("/")
    .some((segment) => isClosed(segment) || segment === ".." || segment === ".");
}

function isClosed(segment: string): boolean {
  return NEVER.has(segment) || NEVER_STARTS.some((start) => segment.startsWith(start));
}
