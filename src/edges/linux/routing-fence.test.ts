import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Executed } from "./execute.ts";
import type { InterceptionRules } from "./interception-rules.ts";
import { interceptedEndpoints } from "./intercepted-addresses.ts";
import { fenced } from "./routing-fence.ts";

const never = new AbortController().signal;
const nothing: InterceptionRules = {
  removal: /./,
  stand: async () => true,
  areIntact: async () => true,
  apply: async () => {},
  remove: async () => {},
};

/** An `ip` that lists no rule, and fails where `fails` matches what it is asked, saying `stderr`. */
function setUp(fails: RegExp, stderr: string) {
  const added: string[] = [];
  const rules = fenced(
    nothing,
    interceptedEndpoints(false),
    async (_program, parameters): Promise<Executed> => {
      const asked = parameters.join(" ");
      if (fails.test(asked)) return { status: 2, stdout: "", stderr };
      if (asked.includes("add")) added.push(asked);
      return { status: 0, stdout: "", stderr: "" };
    },
  );
  return { rules, added };
}

describe("fenced, where ip says no", () => {
  test("goes on when another agent adds the same rule at the same moment", async () => {
    const { rules, added } = setUp(/add pref 11/, "RTNETLINK answers: File exists\n");
    await rules.apply(never);
    assert.equal(added.length, 4);
  });

  test("fails when a rule can't be added", async () => {
    const { rules } = setUp(/add pref 11/, "RTNETLINK answers: Operation not permitted\n");
    await assert.rejects(rules.apply(never), { code: "invalid_settings", message: /NET_ADMIN/ });
  });

  test("does without IPv6 in a kernel without it", async () => {
    const { rules, added } = setUp(/^-6/, "RTNETLINK answers: Operation not supported\n");
    await rules.apply(never);
    assert.deepEqual(
      added.map((asked) => asked.slice(0, 2)),
      ["-4", "-4", "-4"],
    );
  });

  test("and never without IPv4", async () => {
    const { rules } = setUp(/^-4 rule list/, "Cannot open netlink socket\n");
    await assert.rejects(rules.areIntact(never), { code: "invalid_settings" });
  });
});
