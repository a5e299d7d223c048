/** A request's path, decoded once and normalised. */
export type ParsedPath =
  | { readonly ok: true; readonly path: string; readonly query: string }
  | { readonly ok: false; readonly reason: string };

/**
 * What a normalised path asks for. `role` is what the caller named, slashes and colons included;
 * `isExtended` says that the answer names the account as well.
 */
export type Route =
  | { readonly to: "ping" | "health" | "role-list" | "iam-info" | "token" | "other" }
  | { readonly to: "credentials"; readonly role: string; readonly isExtended: boolean };

// Characters with which a path may mean one thing here and another one upstream.
const REFUSED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029;\\]/;
const STILL_ENCODED = /%[0-9a-f]{2}/i;

/**
 * Decodes a request target exactly once, refuses what could be read in two ways, and collapses
 * doubled slashes and dot segments. A trailing slash is kept.
 */
export function parsePath(target: string): ParsedPath {
  const decoded = decodeTarget(target);
  if (!decoded.ok) return decoded;
  if (REFUSED.test(decoded.path)) return { ok: false, reason: "forbidden character in path" };
  if (STILL_ENCODED.test(decoded.path)) return { ok: false, reason: "path is encoded twice" };
  return { ...decoded, path: cleanPath(decoded.path) };
}

/** Decodes a request target exactly once; the absolute form loses its scheme and host. */
export function decodeTarget(target: string): ParsedPath {
  const absolute = target.startsWith("/") ? target : target.replace(/^https?:\/\/[^/?]*/i, "");
  const hash = absolute.indexOf("#");
  const relative = hash === -1 ? absolute : absolute.slice(0, hash);
  const mark = relative.indexOf("?");
  const raw = mark === -1 ? relative : relative.slice(0, mark);
  const query = mark === -1 ? "" : relative.slice(mark + 1);
  try {
    return { ok: true, path: decodeURIComponent(raw), query };
  } catch {
    return { ok: false, reason: "invalid percent-encoding in path" };
  }
}

/** Collapses `//`, `.` and `..`, with a leading slash and the trailing one kept. */
export function cleanPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  const trailing = segments.length > 0 && path.endsWith("/") ? "/" : "";
  return `/${segments.join("/")}${trailing}`;
}

/** Recognises a normalised path, with and without a trailing slash; the version is any segment. */
export function routeOf(path: string): Route {
  const segments = path.split("/").filter((segment) => segment !== "");
  const [first, ...rest] = segments;
  if (rest.length === 0 && (first === "ping" || first === "health")) return { to: first };
  const [area, iam, what, ...role] = rest;
  if (rest.length === 2 && area === "api" && iam === "token") return { to: "token" };
  if (area !== "meta-data" || iam !== "iam") return { to: "other" };
  if (what === "info" && role.length === 0) return { to: "iam-info" };
  const isExtended = what === "security-credentials-extended";
  if (what !== "security-credentials" && !isExtended) return { to: "other" };
  if (role.length === 0) return { to: "role-list" };
  return { to: "credentials", role: role.join("/"), isExtended };
}

/**
 * Kiam's routes over a path that is clean already (specs/kiam.md §2.2): its role keeps a trailing
 * slash, and the list without one is a redirect.
 */
export function kiamRouteOf(path: string): Route | { readonly to: "redirect" } {
  if (path === "/ping") return { to: "ping" };
  if (path === "/health") return { to: "health" };
  const list = /^\/[^/]+\/meta-data\/iam\/security-credentials(?<rest>$|\/.*$)/.exec(path);
  const rest = list?.groups?.["rest"];
  if (rest === "") return { to: "redirect" };
  if (rest === "/") return { to: "role-list" };
  if (rest !== undefined) return { to: "credentials", role: rest.slice(1), isExtended: false };
  return /^\/?[^/]+\/api\/token$/.test(path) ? { to: "token" } : { to: "other" };
}

/** The first value of a query's key; undefined when absent. */
export function queryValue(query: string, key: string): string | undefined {
  return new URLSearchParams(query).get(key) ?? undefined;
}

/** The first percent sign of a query that is no escape, with what follows it; Go says it so. */
export function badEscape(query: string): string | undefined {
  return /%(?![0-9a-f]{2}).{0,2}/i.exec(query)?.[0];
}
