import { open } from "node:fs/promises";

/** The kernel lists listening sockets first, so that no more needs to be read of a busy node's list. */
const BYTES_MAX = 262_144;
/** include/net/tcp_states.h: TCP_LISTEN. */
const LISTENING = "0A";
const LISTS = ["/proc/net/tcp", "/proc/net/tcp6"] as const;

/**
 * How many sockets of this network namespace listen on a TCP port, at whatever address. Processes that
 * share a port (SO_REUSEPORT) have one each. A list that can't be read has none.
 */
export async function listeningSockets(port: number): Promise<number> {
  const texts = await Promise.all(LISTS.map((list) => beginningOf(list).catch(() => "")));
  return texts.map((text) => countListening(text, port)).reduce((sum, count) => sum + count, 0);
}

/** The same of the text of `/proc/net/tcp` or `tcp6`. */
export function countListening(text: string, port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, address, , state]) => state === LISTENING && address?.endsWith(local)).length;
}

async function beginningOf(path: string): Promise<string> {
  await using file = await open(path);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(BYTES_MAX));
  return buffer.toString("latin1", 0, bytesRead);
}
