/**
 * The servers in the order in which a node likes them (rendezvous hashing): each node has an order of its
 * own, so nodes spread evenly, and a server that comes or goes moves only the nodes that like it best.
 */
export function ranked(node: string, servers: readonly string[]): readonly string[] {
  return servers
    .map((server) => ({ server, weight: hash(`${node}\n${server}`) }))
    .toSorted((a, b) => b.weight - a.weight || (a.server < b.server ? -1 : 1))
    .map(({ server }) => server);
}

/** FNV-1a, then MurmurHash3's finalizer: without it, texts that differ in their last character hash alike. */
function hash(text: string): number {
  let sum = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    sum = Math.imul(sum ^ text.charCodeAt(index), 0x01000193);
  }
  sum = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b);
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae35);
  return (sum ^ (sum >>> 16)) >>> 0;
}
