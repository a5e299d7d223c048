const PREFIX = "kiam-";
const NAME_BYTES_MAX = 64;
/** Kiam cuts what is too long to one byte less than STS allows. */
const CUT_BYTES = 63;

/**
 * The RoleSessionName for an annotation or `--session`: Kiam's rule, so that CloudTrail reads the
 * same after a replacement. Longer than 64 bytes is cut to 63; then every character outside
 * `[\w+=,.@-]` becomes `-`.
 */
export function sessionNameOf(part: string): string {
  const name = PREFIX + part;
  return cutToBytes(name).replaceAll(/[^\w+=,.@-]/gu, "-");
}

/** Characters that the cut would split become one `-` for each byte that is left of them, as in Go. */
function cutToBytes(name: string): string {
  if (byteLength(name) <= NAME_BYTES_MAX) return name;
  let bytes = 0;
  let kept = "";
  for (const character of name) {
    const size = utf8Bytes(character);
    if (bytes + size > CUT_BYTES) {
      return kept + "-".repeat(CUT_BYTES - bytes);
    }
    bytes += size;
    kept += character;
  }
  return kept;
}

function byteLength(text: string): number {
  let bytes = 0;
  for (const character of text) bytes += utf8Bytes(character);
  return bytes;
}

function utf8Bytes(character: string): number {
  const point = character.codePointAt(0) ?? 0;
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point < 0x10000 ? 3 : 4;
}
