/** How deep one `@file` may name another, and how many arguments all may give. */
const FILE_DEPTH_MAX = 8;
const ARGUMENTS_MAX = 10_000;

/** One piece of a command line. */
export type Token =
  | { readonly type: "long"; readonly name: string }
  | { readonly type: "short"; readonly name: string }
  | { readonly type: "value"; readonly text: string };

/** How a token is named in an error. */
export function tokenText(token: Token): string {
  switch (token.type) {
    case "long":
      return `--${token.name}`;
    case "short":
      return `-${token.name}`;
    case "value":
      return token.text;
  }
}

/**
 * Cuts arguments into tokens as kingpin does: `--flag=value` gives two, `@file` gives one for each
 * line of the file (without blank lines and those that start with `#`), and after `--` all is
 * taken as written.
 *
 * @throws {Error} when a file cannot be read, or files name each other without end.
 */
export function tokens(
  argv: readonly string[],
  readFile: (path: string) => string,
  depth = 0,
): readonly Token[] {
  const found: Token[] = [];
  const take = (more: readonly Token[]): void => {
    if (found.length + more.length > ARGUMENTS_MAX) {
      throw new Error(`more than ${ARGUMENTS_MAX} arguments`);
    }
    found.push(...more);
  };
  for (const [index, text] of argv.entries()) {
    if (text === "--") {
      take(argv.slice(index + 1).map((text): Token => ({ type: "value", text })));
      break;
    }
    if (text.startsWith("@")) {
      if (depth === FILE_DEPTH_MAX) throw new Error(`${text}: argument files name each other`);
      take(tokens(lines(readFile(text.slice(1))), readFile, depth + 1));
    } else {
      take(cut(text));
    }
  }
  return found;
}

function cut(text: string): readonly Token[] {
  if (text.startsWith("--")) {
    const equals = text.indexOf("=");
    if (equals === -1) return [{ type: "long", name: text.slice(2) }];
    return [
      { type: "long", name: text.slice(2, equals) },
      { type: "value", text: text.slice(equals + 1) },
    ];
  }
  if (text.startsWith("-")) return [{ type: "short", name: text.slice(1, 2) }];
  return [{ type: "value", text }];
}

function lines(content: string): readonly string[] {
  return content.split(/\r?\n/).filter((line) => line.trim() !== "" && !line.startsWith("#"));
}
