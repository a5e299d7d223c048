import { isIPv6 } from "node:net";
import { AppError } from "#core/errors.ts";

/** One end of a connection. */
export interface HostPort {
  /** A name or an address, without brackets; empty for every interface. */
  readonly host: string;
  readonly port: number;
}

/** gRPC's own port where an address names none. */
const PORT_DEFAULT = 443;
const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*))(?::(\d{1,5}))?$/;

/**
 * Reads `host:port`, `[::1]:port`, `:port` or `host` (port 443).
 *
 * @throws {AppError} `invalid_settings`
 */
export function parseHostPort(text: string): HostPort {
  const [whole, bracketed, plain, digits] = HOST_PORT.exec(text) ?? [];
  const port = digits === undefined ? PORT_DEFAULT : Number(digits);
  const isAddress = bracketed === undefined || isIPv6(bracketed);
  if (whole === undefined || whole === "" || port > 65_535 || !isAddress) {
    throw new AppError("invalid_settings", `Cannot use "${text}" as an address: want host:port`);
  }
  return { host: bracketed ?? plain ?? "", port };
}

/** `host:port`, with brackets where an IPv6 address needs them. */
export function formatHostPort({ host, port }: HostPort): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
