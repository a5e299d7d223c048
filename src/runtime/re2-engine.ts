import { RE2JS } from "re2js";
import type { CompileExpression } from "#core/policy/expression.ts";

const SOURCE_MAX = 10_240;

/**
 * Go's regular expressions, by an engine that is linear in the text: `^` and `$` are the text's
 * ends, and look-arounds and back-references do not compile.
 */
export const compileRe2: CompileExpression = (source) => {
  if (source.length > SOURCE_MAX) {
    throw new Error(`expression is longer than ${SOURCE_MAX} characters`);
  }
  const compiled = RE2JS.compile(source);
  return (text) => compiled.matcher(text).find();
};
