/** What clients may have at once, each of them (one address is one pod) and all together. */
export interface Limits {
  readonly connections: number;
  readonly connectionsEach: number;
  /** Requests that are being answered, those that wait for something included. */
  readonly waiting: number;
  readonly waitingEach: number;
  /** Requests in a second that each may go on with, and how many it may save up. */
  readonly requestsASecondEach: number;
  readonly requestsSavedEach: number;
  /** Bytes that came and were not read yet. */
  readonly unreadBytes: number;
  readonly unreadBytesEach: number;
}

/** More than any client needs, and little enough that one pod takes nothing from the others. */
export const LIMITS: Limits = {
  connections: 20_000,
  connectionsEach: 1_000,
  waiting: 2_000,
  waitingEach: 100,
  requestsASecondEach: 2_000,
  requestsSavedEach: 4_000,
  unreadBytes: 8_388_608,
  unreadBytesEach: 1_048_576,
};

/** What was refused to a client, and why. */
export interface RefusalEvent {
  readonly address: string;
  readonly limit: "connections" | "requests" | "waiting" | "bytes";
}

/** The clients of a server, counted against its limits. */
export class Clients {
  readonly limits: Limits;
  readonly observe: (event: RefusalEvent) => void;
  connections = 0;
  waiting = 0;
  unreadBytes = 0;
  readonly #clients = new Map<string, Client>();

  constructor(limits: Limits, observe: (event: RefusalEvent) => void) {
    this.limits = limits;
    this.observe = observe;
  }

  /** Counts a connection of this address; undefined when it can't have another one. */
  admit(address: string): Client | undefined {
    const client = this.#clients.get(address) ?? new Client(address, this);
    const { connections, connectionsEach } = this.limits;
    if (this.connections >= connections || client.connections >= connectionsEach) {
      this.observe({ address, limit: "connections" });
      return undefined;
    }
    this.#clients.set(address, client);
    this.connections += 1;
    client.connections += 1;
    return client;
  }

  /** Tells that a second has passed. */
  tick(): void {
    for (const [address, client] of this.#clients) {
      if (client.refill() && client.connections === 0) this.#clients.delete(address);
    }
  }
}

/** What one address has. It is remembered until its requests are saved up again. */
export class Client {
  connections = 0;
  #requestsLeft: number;
  #waiting = 0;
  #unreadBytes = 0;
  readonly #address: string;
  readonly #all: Clients;

  constructor(address: string, all: Clients) {
    this.#address = address;
    this.#all = all;
    this.#requestsLeft = all.limits.requestsSavedEach;
  }

  /** Counts a request, until `answered`; or the status with which it can't be taken now. */
  ask(): 429 | 503 | undefined {
    const { limits, waiting } = this.#all;
    if (this.#requestsLeft <= 0) return this.#refuse("requests", 429);
    this.#requestsLeft -= 1;
    if (this.#waiting >= limits.waitingEach || waiting >= limits.waiting) {
      return this.#refuse("waiting", 503);
    }
    this.#waiting += 1;
    this.#all.waiting += 1;
    return undefined;
  }

  answered(): void {
    this.#waiting -= 1;
    this.#all.waiting -= 1;
  }

  /** Counts what a connection has not read; false when that is too much. */
  hold(bytes: number): boolean {
    this.#unreadBytes += bytes;
    this.#all.unreadBytes += bytes;
    const { unreadBytes, unreadBytesEach } = this.#all.limits;
    const isWithin = this.#unreadBytes <= unreadBytesEach && this.#all.unreadBytes <= unreadBytes;
    return bytes <= 0 || isWithin || this.#refuse("bytes", false);
  }

  #refuse<Status>(limit: RefusalEvent["limit"], status: Status): Status {
    this.#all.observe({ address: this.#address, limit });
    return status;
  }

  /** A connection is closed. */
  leave(): void {
    this.connections -= 1;
    this.#all.connections -= 1;
  }

  /** Saves up a second's requests; true when no more can be. */
  refill(): boolean {
    const { requestsASecondEach, requestsSavedEach } = this.#all.limits;
    this.#requestsLeft = Math.min(requestsSavedEach, this.#requestsLeft + requestsASecondEach);
    return this.#requestsLeft === requestsSavedEach;
  }
}
