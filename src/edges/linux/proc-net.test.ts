import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  bridgePortOf,
  parseArp,
  parseHostRoutes,
  parseHostRoutes6,
  parseIndexes,
} from "./proc-net.ts";

describe("the kernel's tables", () => {
  test("of routes name the interface of one address, by the lowest metric, and nothing of networks, gateways and black holes", () => {
    const routes =
      parseHostRoutes(`Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0101FA0A	0003	0	0	0	00000000	0	0	0
cali1	0101F40A	00000000	0005	0	0	20	FFFFFFFF	0	0	0
cali2	0101F40A	00000000	0005	0	0	10	FFFFFFFF	0	0	0
eth0	0201F40A	0101FA0A	0007	0	0	0	FFFFFFFF	0	0	0
*	0301F40A	00000000	0205	0	0	0	FFFFFFFF	0	0	0
cni0	0002F40A	00000000	0001	0	0	0	00FFFFFF	0	0	0
`);
    assert.deepEqual([...routes], [["10.244.1.1", "cali2"]]);
  });

  test("of IPv6 routes likewise, without what is the node's own", () => {
    const line = (to: string, length: string, flags: string, name: string, hop = "0"): string =>
      `${to} ${length} ${"0".repeat(32)} 00 ${hop.padStart(32, "0")} 00000400 00000001 00000000 ${flags}     ${name}\n`;
    const routes = parseHostRoutes6(
      line("fd000000000000000000000000000001", "80", "00000001", "cali1") +
        line("fd000000000000000000000000000002", "80", "80200001", "eth0") +
        line("fd000000000000000000000000000003", "80", "00000003", "eth0", "1") +
        line("fd000000000000000000000000000000", "40", "00000001", "cni0") +
        line("00000000000000000000000000000001", "80", "80200001", "lo"),
    );
    assert.deepEqual([...routes], [["fd00::1", "cali1"]]);
  });

  test("of neighbours name who is resolved, on one interface only", () => {
    const neighbours =
      parseArp(`IP address       HW type     Flags       HW address            Mask     Device
10.9.0.2         0x1         0x2         02:00:00:00:00:0A     *        cni0
10.9.0.3         0x1         0x0         00:00:00:00:00:00     *        cni0
10.9.0.4         0x1         0x2         02:00:00:00:00:04     *        cni0
10.9.0.4         0x1         0x6         02:00:00:00:00:05     *        eth0
`);
    assert.deepEqual(
      [...neighbours],
      [["10.9.0.2", { interface: "cni0", hardwareAddress: "02:00:00:00:00:0a" }]],
    );
  });

  test("of multicast groups tell the numbers of interfaces", () => {
    const igmp = `Idx	Device    : Count Querier	Group    Users Timer	Reporter
1	lo        :     1      V3
				010000E0     1 0:00000000		0
222	v110      :     1      V3
				010000E0     1 0:00000000		0
`;
    assert.deepEqual(
      [...parseIndexes(igmp)],
      [
        ["lo", 1],
        ["v110", 222],
      ],
    );
  });

  test("of a bridge tell behind which port a hardware address is, never the bridge's own", () => {
    const entry = (mac: string, port: number, isLocal: number): Buffer => {
      const bytes = Buffer.alloc(16);
      Buffer.from(mac.replaceAll(":", ""), "hex").copy(bytes);
      bytes[6] = port & 0xff;
      bytes[7] = isLocal;
      bytes[12] = port >> 8;
      return bytes;
    };
    const table = Buffer.concat([
      entry("02:00:00:00:00:01", 1, 1),
      entry("02:00:00:00:00:02", 300, 0),
    ]);
    assert.equal(bridgePortOf(table, "02:00:00:00:00:01"), undefined);
    assert.equal(bridgePortOf(table, "02:00:00:00:00:02"), 300);
    assert.equal(bridgePortOf(table.subarray(0, 25), "02:00:00:00:00:02"), undefined);
  });
});
