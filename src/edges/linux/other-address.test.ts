import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cannotMakeNamespaces, Namespace } from "#test/namespace.ts";
import { otherAddress } from "./other-address.ts";

const never = new AbortController().signal;
const skip = cannotMakeNamespaces();

describe("otherAddress, in a kernel's network namespace", { skip, timeout: 20_000 }, () => {
  /** What is found where `eth0` has these addresses, which come in this order, and `eth1` others. */
  async function found(hostIp: string, addresses: readonly string[]): Promise<string | undefined> {
    await using node = await Namespace.open();
    const add = addresses.map((address) => `ip addr add ${address} dev eth0`);
    node.run(`for name in eth0 eth1; do ip link add $name type bridge; ip link set $name up; done
      ip addr add 10.8.0.1/24 dev eth1; ip addr add fd08::1/64 dev eth1
      ${add.join("\n")}`);
    return await otherAddress(hostIp, never, node.execute);
  }

  for (const [what, hostIp, addresses, expected] of [
    ["the IPv6 one of an IPv4 one", "10.9.0.2", ["10.9.0.2/24", "fd09::2/64"], "fd09::2"],
    ["the IPv4 one of an IPv6 one", "fd09::2", ["10.9.0.2/24", "fd09::2/64"], "10.9.0.2"],
    ["it however that is spelt", "FD09:0::0:2", ["10.9.0.2/24", "fd09::2/64"], "10.9.0.2"],
    ["none where its interface has none", "10.9.0.2", ["10.9.0.2/24"], undefined],
    ["none of a link alone", "10.9.0.2", ["10.9.0.2/24", "fe80::2/64"], undefined],
    ["none where nobody has it", "10.9.0.9", ["10.9.0.2/24", "fd09::2/64"], undefined],
    [
      "the IPv6 one that was there first",
      "10.9.0.2",
      ["10.9.0.2/24", "fd09::2/64", "fd09::1/64"],
      "fd09::2",
    ],
    [
      "the IPv4 one that was there first",
      "fd09::2",
      ["fd09::2/64", "10.9.0.2/24", "10.9.0.1/24", "10.7.0.1/32"],
      "10.9.0.2",
    ],
  ] as const) {
    test(`finds ${what}`, async () => assert.equal(await found(hostIp, addresses), expected));
  }
});

describe("otherAddress", () => {
  test("says so when ip fails", async () => {
    const fails = async () => ({ status: 1, stdout: "", stderr: "Cannot open netlink socket" });
    await assert.rejects(otherAddress("10.9.0.2", never, fails), {
      code: "invalid_settings",
      message: /ip failed with status 1: Cannot open netlink socket/,
    });
  });
});
