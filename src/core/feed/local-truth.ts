/** One sandbox of a pod, as the container runtime recorded it when it had a network. */
export interface SandboxRecord {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  /** The node's own interfaces that were made or used for it; empty where the plugin names none. */
  readonly hostInterfaces: readonly string[];
  /** Of the interfaces inside of it, in lower case; empty where the plugin names none. */
  readonly hardwareAddresses: readonly string[];
}

/** Where the kernel sends what goes to an address of this node's pods. */
export interface Place {
  /** The node's interface that has the route: one pod's own (routed), or one that pods share (bridged). */
  readonly interface: string;
  /** The neighbour behind a shared interface, in lower case; undefined where the interface is one pod's. */
  readonly hardwareAddress: string | undefined;
  /**
   * Number of the pod's own interface on the node, a bridge's port among them. The kernel counts upwards and gives none
   * twice, so that a higher one was made later. Undefined behind what is no bridge of the kernel's.
   */
  readonly index: number | undefined;
}

/** What the kernel says of the node's network. */
export interface KernelView {
  /** By a look that began after the question. Undefined where the kernel knows no such neighbour. */
  placeOf(address: string): Promise<Place | undefined>;
  /** By the latest look, a second old at most, and without the number. */
  lastPlaceOf(address: string): Omit<Place, "index"> | undefined;
  /** The highest number of an interface; undefined where it can't be read. */
  highestIndex(): Promise<number | undefined>;
}

/** The same for the same place, and another for another one. */
export function nameOfPlace({ interface: name, hardwareAddress, index }: Place): string {
  return `${name} ${hardwareAddress ?? index}`;
}
