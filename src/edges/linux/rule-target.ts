import { AppError } from "#core/errors.ts";

/** What is redirected, and where to. */
export interface RuleTarget {
  /**
   * Where pods' traffic comes from: an interface, a prefix of interfaces with `+`, or either with a
   * leading `!` for every other.
   */
  readonly hostInterface: string;
  /** The node's address. */
  readonly hostIp: string;
  readonly port: number;
}

/** Interfaces by name, so that one that goes and comes again is still meant. */
export interface Interfaces {
  /** Every other is meant. */
  readonly inverted: boolean;
  readonly name: string;
  /** `name` is what their names start with. */
  readonly isPrefix: boolean;
}

/** Linux allows 15 bytes in an interface's name. */
const INTERFACE = /^(?<not>!?)(?<name>[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14})(?<prefix>\+?)$/;

/** @throws {AppError} `invalid_settings` when the text can't name interfaces. */
export function parseInterfaces(text: string): Interfaces {
  const { not, name = "", prefix } = INTERFACE.exec(text)?.groups ?? {};
  if (name === "") {
    throw new AppError(
      "invalid_settings",
      `--host-interface ${JSON.stringify(text)} is not an interface; want e.g. eth0, cali+ or !eth0`,
    );
  }
  return { inverted: not === "!", name, isPrefix: prefix === "+" };
}

/** @throws {AppError} `invalid_settings` when it is none. */
export function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return;
  throw new AppError("invalid_settings", `--port ${port} is not a port from 1 to 65535`);
}
