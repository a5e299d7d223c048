import type { Execute, Executed } from "#edges/linux/execute.ts";

/** An iptables that keeps the rules of one chain as text, in the list it is given. */
export function fakeIptables(rules: string[]): Execute {
  return async (_program, parameters): Promise<Executed> => {
    const [, , action = "", , ...spec] = parameters;
    const rule = spec.join(" ");
    const at = rules.indexOf(rule);
    if (action === "-A") rules.push(rule);
    if (action === "-D") rules.splice(at, 1);
    return { status: action === "-A" || at >= 0 ? 0 : 1, stdout: "", stderr: "" };
  };
}
