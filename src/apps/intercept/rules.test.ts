import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { interceptedBy } from "./rules.ts";

const never = new AbortController().signal;

describe("interceptedBy", () => {
  /** On a node whose interface has these addresses. */
  async function addresses(
    interception: "iptables" | "nft",
    host: string,
    family: "inet" | "inet6",
    local: string,
  ): Promise<readonly string[] | undefined> {
    const addr_info = [{ family: host.includes(":") ? "inet6" : "inet", local: host }];
    const listed = [{}, { addr_info: [...addr_info, { family, local }] }];
    const settings = { interception, iptables: false, host, port: 8181, hostInterface: undefined };
    const intercepted = await interceptedBy(
      {
        settings: { ...settings, interceptContainerEndpoint: false },
        exec: async () => ({ status: 0, stdout: JSON.stringify(listed), stderr: "" }),
      },
      never,
    );
    return intercepted?.addresses;
  }

  test("is IPv4 alone with iptables", async () => {
    const found = await addresses("iptables", "10.9.0.2", "inet6", "fd09::2");
    assert.deepEqual(found, ["169.254.169.254"]);
  });

  test("is both families with nft where the node has an IPv4 address", async () => {
    const both = ["169.254.169.254", "fd00:ec2::254"];
    assert.deepEqual(await addresses("nft", "10.9.0.2", "inet", "10.9.0.3"), both);
    assert.deepEqual(await addresses("nft", "fd09::2", "inet", "10.9.0.2"), both);
  });

  test("is IPv6 alone where it has none", async () => {
    assert.deepEqual(await addresses("nft", "fd09::2", "inet6", "fd09::3"), ["fd00:ec2::254"]);
  });
});
