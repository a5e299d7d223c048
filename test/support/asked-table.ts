import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { FakeClock } from "./fake-clock.ts";
import { AskedTable, type AskedTableEvent } from "#core/feed/asked-table.ts";

export const MINUTE = 60_000;
export const never = new AbortController().signal;

/** A table between a server and pods that do what a test tells them to. */
export function askedTableWorld({ addressesMax = 100, waitingPerAddressMax = 8 } = {}) {
  const clock = new FakeClock();
  const events: AskedTableEvent[] = [];
  const server = {
    roles: new Map<string, string>([["10.0.0.1", "reader"]]),
    error: undefined as AppError | undefined,
    hangs: false,
    /** Answers travel until it settles, once they are decided. */
    travel: undefined as Promise<void> | undefined,
    asked: 0,
    /** What the node says of the address, and what the server was told of it. */
    podUid: undefined as string | undefined,
    told: undefined as string | undefined,
    life: 60 * MINUTE,
  };
  const answer = async <T>(value: () => T): Promise<T> => {
    server.asked += 1;
    if (server.hangs) await new Promise(() => {});
    if (server.error !== undefined) throw server.error;
    const decided = value();
    await server.travel;
    return decided;
  };
  const roleAt = (address: string): string => {
    const role = server.roles.get(address);
    if (role === undefined) throw new AppError("pod_not_found", "nobody");
    return role;
  };
  const asked = new AskedTable({
    clock,
    addressesMax,
    waitingPerAddressMax,
    observe: (event) => events.push(event),
    ask: {
      role: (address) => answer(() => roleAt(address)),
      credentials: (address, role, _signal, podUid): Promise<Credentials> =>
        answer(() => {
          server.told = podUid;
          if (![roleAt(address), `arn:${roleAt(address)}`].includes(role)) {
            throw new AppError("role_mismatch", "another");
          }
          return {
            accessKeyId: `${address} ${role}`,
            secretAccessKey: new Secret("s"),
            sessionToken: new Secret("t"),
            issuedAt: clock.now(),
            expiresAt: clock.now() + server.life,
          };
        }),
    },
  });
  const table = {
    role: (address: string, signal: AbortSignal) => asked.role(address, signal, server.podUid),
    credentials: (address: string, role: string, signal: AbortSignal) =>
      asked.credentials(address, role, signal, server.podUid),
    /** What the node says of the address where no record names its pod. */
    isAt: (address: string, index: number) =>
      asked.leaveTo({
        address,
        record: undefined,
        place: { interface: `veth${index}`, hardwareAddress: undefined, index },
      }),
    sweep: () => asked.sweep(),
    size: () => asked.size,
  };
  /** Whether credentials are still served when the server goes away now. */
  const isHeld = async (address: string, role: string): Promise<boolean> => {
    const before = server.error;
    server.error = new AppError("server_unavailable", "away");
    await clock.advance(600);
    const held = await table.credentials(address, role, never).catch(() => undefined);
    server.error = before;
    return held !== undefined;
  };
  return { clock, server, table, events, isHeld };
}
