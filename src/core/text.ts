const SHOWN_MAX = 200;

/**
 * A text from outside as it may stand in one line of a message: control characters escaped, and
 * what is longer than 200 characters cut with its length said.
 */
export function show(text: string): string {
  const cut = text.length > SHOWN_MAX ? text.slice(0, SHOWN_MAX) : text;
  const escaped = cut.replaceAll(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return text.length > SHOWN_MAX ? `${escaped}… (${text.length} characters)` : escaped;
}
