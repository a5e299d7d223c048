import type { Address } from "./setting.ts";

const PORT_MAX = 65_535;

/**
 * Reads `host:port`, `[v6]:port` or `:port`. An empty text is "none".
 *
 * @throws {Error} saying what an address looks like.
 */
export function parseAddress(text: string): Address {
  const parts = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]\s/]*)):(\d{1,5})$/.exec(text);
  const port = Number(parts?.[3]);
  if (parts === null || port > PORT_MAX) {
    throw new Error(`address '${text}' is not host:port, e.g. 0.0.0.0:9610 or [::1]:9610`);
  }
  return { host: parts[1] ?? parts[2] ?? "", port };
}

/** Writes an address as it is read. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
