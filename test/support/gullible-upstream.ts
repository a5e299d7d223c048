/** Where the metadata service keeps credentials, keys and user data, by the segments after the version. */
const SECRETS = [
  ["user-data"],
  ["api", "token"],
  ["meta-data", "iam"],
  ["meta-data", "identity-credentials"],
  ["meta-data", "managed-ssh-keys"],
  ["meta-data", "public-keys"],
];
/** More than any sequence of readings of one path takes. */
const READINGS_MAX = 200;

/**
 * Whether a request line's path could reach a secret at a metadata service that reads it in any way that
 * some server has: decoded once more, in overlong forms, cut at a control character or a parameter, with
 * backslashes, folded letters or unresolved dots. Written byte by byte, to share no idea with what it
 * is the judge of.
 */
export function mayReachSecret(path: string): boolean {
  const seen = new Set<string>([path]);
  for (const reading of seen) {
    if (isSecret(reading)) return true;
    if (seen.size > READINGS_MAX) throw new Error(`too many readings of ${path}`);
    for (const next of furtherReadings(reading)) seen.add(next);
  }
  return false;
}

function isSecret(path: string): boolean {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    const name = segment.trim();
    if (name === "" || name === ".") continue;
    if (name === "..") segments.pop();
    else segments.push(name);
  }
  return (
    segments.some((name) => name.startsWith("security-credentials")) ||
    SECRETS.some((names) => names.every((name, index) => segments[index + 1] === name))
  );
}

function furtherReadings(path: string): readonly string[] {
  const bytes = unescaped(path);
  return [
    path.toLowerCase(),
    path.normalize("NFKC"),
    path.split("\\").join("/"),
    path
      .split("/")
      .map((segment) => segment.split(";")[0] ?? "")
      .join("/"),
    before(path, (code) => code < 0x20 || code === 0x7f),
    before(path, (code) => code === 0x3f || code === 0x23),
    Buffer.from(bytes).toString("latin1"),
    Buffer.from(bytes).toString("utf8"),
    carelessUtf8(bytes),
  ];
}

/** The text up to the first character that ends it. */
function before(text: string, ends: (code: number) => boolean): string {
  let index = 0;
  while (index < text.length && !ends(text.charCodeAt(index))) index += 1;
  return text.slice(0, index);
}

/** The bytes that a path stands for; escapes that are none stay as they are. */
function unescaped(path: string): number[] {
  const bytes: number[] = [];
  for (let index = 0; index < path.length; index += 1) {
    const digits = path.slice(index + 1, index + 3);
    const unicode = path.slice(index + 2, index + 6);
    if (path[index] === "%" && /^[0-9a-f]{2}$/i.test(digits)) {
      bytes.push(Number.parseInt(digits, 16));
      index += 2;
    } else if (path[index] === "%" && path[index + 1] === "u" && /^00[0-9a-f]{2}$/i.test(unicode)) {
      bytes.push(Number.parseInt(unicode, 16));
      index += 5;
    } else bytes.push(...Buffer.from(path[index] ?? ""));
  }
  return bytes;
}

/** UTF-8 as one reads it who does not ask whether a shorter form exists. */
function carelessUtf8(bytes: readonly number[]): string {
  let text = "";
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    let code = length === 1 ? byte : byte & (0xff >> (length + 1));
    for (let more = 1; more < length; more += 1) {
      code = (code << 6) | ((bytes[index + more] ?? 0) & 0x3f);
    }
    index += length - 1;
    text += code > 0x10ffff ? "\ufffd" : String.fromCodePoint(code);
  }
  return text;
}
