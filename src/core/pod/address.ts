/** How a listener on IPv6 spells the address of each client that came over IPv4. */
const MAPPED = /^::ffff:(?<ipv4>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/;

/**
 * One spelling for one address: lower case, IPv4-mapped IPv6 as IPv4, IPv6 compressed as RFC 5952
 * says, without brackets and zone. Text that is no address comes back as it is and matches nothing.
 */
export function normalizeAddress(text: string): string {
  // First what nearly every request has: the general way costs as much as the answer itself.
  const ipv4 = MAPPED.exec(text)?.groups?.["ipv4"];
  if (ipv4 !== undefined) return ipv4;
  const bare = text
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/%.*$/, "")
    .toLowerCase();
  if (!bare.includes(":")) return bare;
  const groups = expand(bare);
  if (groups === undefined) return bare;
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) {
    return [groups[6] ?? 0, groups[7] ?? 0]
      .flatMap((group) => [group >> 8, group & 0xff])
      .join(".");
  }
  return compress(groups);
}

/** The eight 16-bit groups of an IPv6 address; undefined when it is none. */
function expand(text: string): number[] | undefined {
  const halves = withoutDots(text).split("::");
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => "0"), ...tail];
  if (!groups.every((group) => /^[\da-f]{1,4}$/.test(group))) return undefined;
  return groups.map((group) => Number.parseInt(group, 16));
}

/** `::ffff:10.0.0.1` as `::ffff:a00:1`. */
function withoutDots(text: string): string {
  const dotted = /^(?<head>.*:)(?<a>\d+)\.(?<b>\d+)\.(?<c>\d+)\.(?<d>\d+)$/.exec(text)?.groups;
  if (dotted === undefined) return text;
  const [a = 256, b = 256, c = 256, d = 256] = ["a", "b", "c", "d"].map((byte) =>
    Number(dotted[byte]),
  );
  if (Math.max(a, b, c, d) > 255) return text;
  return `${dotted["head"]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** The longest run of two or more zero groups becomes `::`. */
function compress(groups: readonly number[]): string {
  const text = groups.map((group) => group.toString(16)).join(":");
  const runs = text.match(/(?<![\da-f])0(?::0)+(?![\da-f])/g) ?? [];
  const longest = runs.reduce((best, zeros) => (zeros.length > best.length ? zeros : best), "");
  if (longest === "") return text;
  const at = text.search(new RegExp(`(?<![\\da-f])${longest}(?![\\da-f])`));
  const head = text.slice(0, at).replace(/:$/, "");
  const tail = text.slice(at + longest.length).replace(/^:/, "");
  return `${head}::${tail}`;
}
