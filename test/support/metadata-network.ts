import { setTimeout as sleep } from "node:timers/promises";
import { type Inside, Namespace } from "#test/namespace.ts";

/** The node's addresses, both at its interface towards the machine's network. */
export const NODE_ADDRESS = "10.9.0.2";
export const NODE_ADDRESS_6 = "fd09::2";
/** A pod's place in the network; each has its own way to the node. */
export type Place = "routed" | "bridged" | "flat" | "late";

export const METADATA = ["http://169.254.169.254", "http://[fd00:ec2::254]"] as const;
export const CONTAINER = ["http://169.254.170.23", "http://[fd00:ec2::23]"] as const;
/** Ways to these addresses that nobody needs. */
export const OTHER_WAYS = [
  ...[...METADATA, ...CONTAINER].map((url) => `${url}:8080`),
  "udp://169.254.169.254:80",
  "udp://[fd00:ec2::254]:80",
] as const;

const PROGRAM = (name: string): string[] => [
  process.execPath,
  new URL(`./${name}.ts`, import.meta.url).pathname,
];

/** Somebody that asks at metadata addresses all the time. */
export interface Prober extends Inside {
  readonly place: Place | "node";
  /** Forgets what was answered so far. */
  forget(): void;
  /** What each URL was answered since then, without repetitions. */
  answers(): ReadonlyMap<string, readonly string[]>;
  /** Waits until every URL was answered `outcome` since it forgot, and `others` none. */
  until(outcome: RegExp, urls?: readonly string[]): Promise<void>;
}

/**
 * A node with pods, and behind it the machine's network with a stand-in for the metadata service. Each
 * is a namespace without a way to anything else:
 *
 * ```
 *  routed ── cali1 ┐            ┌ eth0 ── wire: 169.254.169.254, fd00:ec2::254, …
 * bridged ── cni0 ─┤    node    │          │
 *    late ── veth9 ┘            └ flat0 ───┘
 *    flat ───────────────────────┘ (a bridge that passes frames on, beside the node)
 * ```
 */
export class MetadataNetwork implements AsyncDisposable {
  readonly node: Namespace;
  readonly #resources: AsyncDisposableStack;
  readonly #standIn: Inside;
  readonly #pods = new Map<Place, Namespace>();

  private constructor(
    resources: AsyncDisposableStack,
    { node, wire }: { node: Namespace; wire: Namespace },
  ) {
    this.#resources = resources;
    this.node = node;
    const at = ["80", "8080", "8181", "169.254.169.254", "fd00:ec2::254"];
    this.#standIn = wire.start([...PROGRAM("metadata-stand-in"), ...at]);
  }

  static async open(): Promise<MetadataNetwork> {
    await using made = new AsyncDisposableStack();
    const node = made.use(await Namespace.open());
    const wire = made.use(await Namespace.open());
    wire.run(`
      for at in 169.254.169.254/32 169.254.170.23/32; do ip addr add $at dev lo; done
      for at in fd00:ec2::254/128 fd00:ec2::23/128; do ip addr add $at dev lo nodad; done
      ip link add n0 type veth peer name eth0 netns ${node.pid}
      ip link add f0 type veth peer name eth1 netns ${node.pid}
      ip link set n0 up; ip addr add 10.9.0.1/24 dev n0; ip addr add fd09::1/64 dev n0 nodad
      ip link set f0 up; ip addr add 10.8.0.1/24 dev f0; ip addr add fd08::1/64 dev f0 nodad
      ip route add 10.244.0.0/16 via ${NODE_ADDRESS}
      ip -6 route add fd44::/16 via ${NODE_ADDRESS_6}`);
    node.run(`
      sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
      sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 || true
      ip link set eth0 up; ip addr add ${NODE_ADDRESS}/24 dev eth0
      ip addr add ${NODE_ADDRESS_6}/64 dev eth0 nodad
      ip route add default via 10.9.0.1; ip -6 route add default via fd09::1
      ip link add cni0 type bridge; ip link set cni0 up
      ip addr add 10.244.2.1/24 dev cni0; ip addr add fd44:2::1/64 dev cni0 nodad
      ip link add flat0 type bridge; ip link set flat0 up
      ip link set eth1 master flat0 up`);
    const network = new MetadataNetwork(made.move(), { node, wire });
    await network.addRouted("routed", "cali1", 1);
    await network.#addBridged("bridged", "cni0", "10.244.2", "fd44:2:");
    await network.#addBridged("flat", "flat0", "10.8.0", "fd08:");
    return network;
  }

  /** A pod with an interface of its own on the node, which has no address, as Calico's and the VPC CNI's. */
  async addRouted(place: Place, name: string, number: number): Promise<void> {
    const pod = await this.#open(place);
    const [v4, v6] = [`10.244.${number}.2`, `fd44:${number}::2`];
    this.node.run(`
      ip link add ${name} type veth peer name eth0 netns ${pod.pid}
      ip link set ${name} up
      ip route add ${v4} dev ${name}; ip -6 route add ${v6} dev ${name}`);
    const mac = this.node.run(`cat /sys/class/net/${name}/address 2>/dev/null || true;
      ip -o link show ${name} | sed 's/.*ether \\([^ ]*\\).*/\\1/'`);
    const address = mac.trim().split("\n").at(-1) ?? "";
    pod.run(`
      ip link set eth0 up
      ip addr add ${v4}/32 dev eth0; ip addr add ${v6}/128 dev eth0 nodad
      ip neigh add 169.254.1.1 lladdr ${address} dev eth0 nud permanent
      ip neigh add fe80::1 lladdr ${address} dev eth0 nud permanent
      ip route add 169.254.1.1 dev eth0; ip route add default via 169.254.1.1
      ip -6 route add default via fe80::1 dev eth0`);
  }

  /** Asks for ever from a pod, or from the node itself. */
  probe(place: Place | "node", urls: readonly string[], ...flags: readonly string[]): Prober {
    const from = place === "node" ? this.node : this.#pods.get(place);
    if (from === undefined) throw new Error(`no pod is ${place}`);
    const inside = from.start([...PROGRAM("metadata-prober"), ...flags, ...urls]);
    let since = 0;
    const answers = (): ReadonlyMap<string, readonly string[]> => {
      const found = Map.groupBy(inside.lines.slice(since), (line) => line.split(" ", 1)[0] ?? "");
      const outcomes = (lines: readonly string[]): string[] => [
        ...new Set(lines.map((line) => line.slice(line.indexOf(" ") + 1))),
      ];
      return new Map([...found].map(([url, lines]) => [url, outcomes(lines)]));
    };
    return {
      ...inside,
      place,
      answers,
      forget: () => void (since = inside.lines.length),
      until: async (outcome, of = urls) => {
        const start = performance.now();
        const isThere = (url: string): boolean =>
          answers()
            .get(url)
            ?.some((one) => outcome.test(one)) ?? false;
        while (!of.every(isThere)) {
          if (performance.now() - start > PATIENCE_MS) {
            const said = JSON.stringify([...answers()]);
            throw new Error(`${place}: no ${outcome} at every one of ${of.join(" ")}: ${said}`);
          }
          await sleep(20);
        }
      },
    };
  }

  /** Gives the node itself addresses of such services, which answer what the real ones do. */
  serveOnNode(addresses: readonly string[]): AsyncDisposable {
    const served = this.node.start([...PROGRAM("metadata-stand-in"), "80"]);
    const each = (action: "add" | "del"): string =>
      addresses.map((address) => `ip addr ${action} ${address} dev lo`).join("\n");
    this.node.run(each("add"));
    return {
      [Symbol.asyncDispose]: async () => {
        this.node.run(each("del"));
        await served[Symbol.asyncDispose]();
      },
    };
  }

  /** Forgets who has asked the stand-in. */
  forget(): void {
    (this.#standIn.lines as string[]).length = 0;
  }

  /** The pods, by their addresses, that have asked the stand-in. */
  leaked(): readonly string[] {
    return this.askers().filter((from) => /^(?:10\.(?:244|8)\.|fd44:|fd08:)/.test(from));
  }

  /** Everybody who has asked the stand-in. */
  askers(): readonly string[] {
    return [...new Set(this.#standIn.lines)].filter((line) => line !== "listening");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }

  async #addBridged(place: Place, bridge: string, v4: string, v6: string): Promise<void> {
    const pod = await this.#open(place);
    this.node.run(`
      ip link add ${place} type veth peer name eth0 netns ${pod.pid}
      ip link set ${place} master ${bridge} up`);
    pod.run(`
      ip link set eth0 up
      ip addr add ${v4}.3/24 dev eth0; ip addr add ${v6}:3/64 dev eth0 nodad
      ip route add default via ${v4}.1; ip -6 route add default via ${v6}:1`);
  }

  async #open(place: Place): Promise<Namespace> {
    const pod = this.#resources.use(await Namespace.open());
    this.#pods.set(place, pod);
    return pod;
  }
}

const PATIENCE_MS = 20_000;
