/** The first line of a request. */
export interface RequestLine {
  readonly method: string;
  readonly target: string;
  /** Whether the client speaks HTTP/1.0. */
  readonly isOld: boolean;
}

const METHODS = new Set(
  (
    "GET HEAD PUT POST DELETE OPTIONS PATCH TRACE PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK " +
    "REPORT SEARCH LINK UNLINK"
  ).split(" "),
);
/** The origin form, the asterisk of OPTIONS, or the absolute form with a plain authority. */
const TARGET = /^(?:\/[!-~]*|\*|https?:\/\/[\w.:[\]-]+(?:[/?][!-~]*)?)$/;
const VERSION = " HTTP/1.";

/** Reads the line; undefined when it is no request of a method and version that are known. */
export function readRequestLine(line: string): RequestLine | undefined {
  const version = line.length - VERSION.length - 1;
  const blank = line.indexOf(" ");
  const minor = line[line.length - 1];
  if (blank >= version || !line.startsWith(VERSION, version)) return undefined;
  if (minor !== "1" && minor !== "0") return undefined;
  const method = line.slice(0, blank);
  const target = line.slice(blank + 1, version);
  if (!METHODS.has(method) || !TARGET.test(target)) return undefined;
  return { method, target, isOld: minor === "0" };
}
