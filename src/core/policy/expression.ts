import { AppError } from "../errors.ts";
import type { RoleArn } from "../role/role-arn.ts";
import { show } from "../text.ts";

/**
 * Compiles an expression of Go's RE2 syntax to an unanchored search, in time linear to the text.
 * Throws an Error that says what is wrong with an expression that does not compile.
 */
export type CompileExpression = (source: string) => (text: string) => boolean;

export interface ExpressionsOptions {
  /** Whether the expression must match the whole ARN: `^(?:…)$`. */
  readonly strict: boolean;
  /** How many compiled expressions are kept. */
  readonly entriesMax?: number;
}

const ENTRIES_MAX = 10_000;

type Compiled = ((text: string) => boolean) | AppError;

/** Namespaces' expressions, each compiled once while it is in use. */
export class Expressions {
  readonly #compile: CompileExpression;
  readonly #strict: boolean;
  readonly #entriesMax: number;
  readonly #compiled = new Map<string, Compiled>();

  constructor(
    compile: CompileExpression,
    { strict, entriesMax = ENTRIES_MAX }: ExpressionsOptions,
  ) {
    this.#compile = compile;
    this.#strict = strict;
    this.#entriesMax = entriesMax;
  }

  /**
   * Whether the expression permits the role.
   *
   * @throws {AppError} `invalid_expression`
   */
  permits(expression: string, arn: RoleArn): boolean {
    const compiled = this.#compiled.get(expression) ?? this.#prepare(expression);
    // Kept in the order of use, so that the first entry is the one longest unused.
    this.#compiled.delete(expression);
    this.#compiled.set(expression, compiled);
    if (compiled instanceof AppError) throw compiled;
    return compiled(arn);
  }

  #prepare(expression: string): Compiled {
    if (this.#compiled.size >= this.#entriesMax) {
      const [oldest] = this.#compiled.keys();
      if (oldest !== undefined) this.#compiled.delete(oldest);
    }
    try {
      // By itself first: `a)|(?:b` does not compile alone, but would once it is wrapped.
      const alone = this.#compile(expression);
      return this.#strict ? this.#compile(`^(?:${expression})$`) : alone;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      // The engine's words come first, as in Kiam's answer.
      return new AppError(
        "invalid_expression",
        `${show(why)}; namespace policy expression '${show(expression)}' permits nothing`,
        { cause: error },
      );
    }
  }
}
