import fc from "fast-check";

/** What a pod may want to read of its node: some of it harmless, most of it not. */
const PATHS = [
  "/latest/user-data",
  "/latest/meta-data/iam/security-credentials/node-role",
  "/latest/meta-data/iam/security-credentials-extended/",
  "/latest/meta-data/iam/info",
  "/2016-09-02/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
  "/latest/meta-data/managed-ssh-keys/active-keys/admin",
  "/latest/meta-data/public-keys/0/openssh-key",
  "/latest/api/token",
  "/latest/meta-data/placement/availability-zone/",
  "/latest/meta-data/instance-id",
  "/latest/dynamic/instance-identity/document",
  "/latest/meta-data/network/interfaces/macs/02:29:96:8f:6a:2d/vpc-id",
  "/",
];

/** Every byte as an escape. */
function escaped(bytes: Iterable<number>): string {
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

function hex(text: string): string {
  return escaped(Buffer.from(text));
}

/** An ASCII character in more bytes of UTF-8 than it takes. */
function overlong(code: number, bytes: 2 | 3): string {
  const last = 0x80 | (code & 0x3f);
  return escaped(bytes === 2 ? [0xc0 | (code >> 6), last] : [0xe0, 0x80 | (code >> 6), last]);
}

/** Ways to write one character so that somebody may read it as that character. */
const SPELLINGS: readonly ((character: string) => string)[] = [
  hex,
  (character) => hex(character).toUpperCase(),
  (character) => hex(character).replaceAll("%", "%25"),
  (character) => hex(character).replaceAll("%", "%2525"),
  (character) => overlong(character.charCodeAt(0), 2),
  (character) => overlong(character.charCodeAt(0), 3),
  (character) => `%u00${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  // Its full-width twin, which Unicode's compatibility forms fold to it.
  (character) => hex(String.fromCharCode(character.charCodeAt(0) + 0xfee0)),
  (character) => character.toUpperCase(),
  (character) => hex(character.toUpperCase()),
];

/** What may be put between two characters without somebody noticing. */
const INSERTED = [
  ..."/ // /./ /../ /x/../ /%2e/ /%2E%2e/ /.%2e/ /..;/ /... \\ %5c ..%5c ;a ;a=b/ %3b %00 %00.png".split(
    " ",
  ),
  ..."%0a %0d%0a %09 %20 + %2f %2F %252f %c0%af %c0%ae %e0%80%af %ff %zz % %2 %% . .. ~ , : @ = !".split(
    " ",
  ),
  ..."? ?a=b ?/../ # #/.. %23 %3f ?x#y & * ' ( $ | ^ %e2%80%a8 %c2%85 %ef%bb%bf %cc%81 %cd%be".split(
    " ",
  ),
];

/** What may stand before a path: absolute forms, and what looks like one. */
const PREFIXES = [
  ..."http://169.254.169.254 HTTP://169.254.169.254:80 https://[fd00:ec2::254] http:// http:///".split(
    " ",
  ),
  ..."http://a@b http:\\\\x //169.254.169.254 /latest/.. /latest/meta-data/placement/..%2f..".split(
    " ",
  ),
];

interface Edit {
  readonly at: number;
  readonly spelling: number;
  readonly inserted: string;
}

/**
 * Request targets that want what they must not get: paths of the metadata service, written in all the
 * ways in which one program may read a path and the next one another.
 */
export const hostileTarget: fc.Arbitrary<string> = fc
  .record({
    path: fc.constantFrom(...PATHS),
    edits: fc.array(
      fc.record({
        at: fc.nat(80),
        spelling: fc.nat(SPELLINGS.length * 2),
        inserted: fc.oneof(
          { arbitrary: fc.constant(""), weight: 3 },
          { arbitrary: fc.constantFrom(...INSERTED), weight: 2 },
        ),
      }),
      { maxLength: 6 },
    ),
    prefix: fc.oneof(
      { arbitrary: fc.constant(""), weight: 5 },
      { arbitrary: fc.constantFrom(...PREFIXES), weight: 1 },
    ),
    suffix: fc.oneof(
      { arbitrary: fc.constant(""), weight: 3 },
      { arbitrary: fc.constantFrom(...INSERTED), weight: 1 },
    ),
  })
  .map(({ path, edits, prefix, suffix }) => prefix + edited(path, edits) + suffix);

function edited(path: string, edits: readonly Edit[]): string {
  const characters = path.split("");
  for (const { at, spelling, inserted } of edits) {
    const index = at % characters.length;
    const character = path[index] ?? "";
    // Half of the spellings are beyond the list: the character stays as it is.
    characters[index] = (SPELLINGS[spelling]?.(character) ?? character) + inserted;
  }
  return characters.join("");
}
