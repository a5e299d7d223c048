import { RE2JS } from "re2js";
import type { CompileExpression } from "#core/policy/expression.ts";

const SOURCE_MAX = 10_240;
/**
 * A text of 600 characters is matched in some milliseconds by a program of this size. Alternatives
 * written out stay below it; repetitions of repetitions (`(.{1000}){90}`) do not.
 */
const INSTRUCTIONS_MAX = 20_000;

/**
 * Go's regular expressions, by an engine that is linear in the text: `^` and `$` are the text's
 * ends, and look-arounds and back-references do not compile.
 */
export const compileRe2: CompileExpression = (source) => {
  if (source.length > SOURCE_MAX) {
    throw new Error(`expression is longer than ${SOURCE_MAX} characters`);
  }
  const compiled = RE2JS.compile(source);
  if (compiled.programSize() > INSTRUCTIONS_MAX) {
    throw new Error("error parsing regexp: expression too large");
  }
  return (text) => compiled.matcher(text).find();
};
