import { styleText } from "node:util";

/** One thing that the demo says about Rolecall, and whether it held. */
export interface Statement {
  readonly says: string;
  readonly held: boolean;
  readonly seen: string;
}

/** Tells the story while it happens, and keeps every statement for the table at the end. */
export class Report {
  readonly statements: Statement[] = [];
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
  }

  chapter(title: string): void {
    if (!this.#json) process.stdout.write(`\n${styleText("bold", title)}\n`);
  }

  line(text: string): void {
    if (!this.#json) process.stdout.write(`  ${text}\n`);
  }

  state(says: string, held: boolean, seen: string): void {
    this.statements.push({ says, held, seen });
    const mark = held ? styleText("green", "✓") : styleText("red", "✗");
    this.line(`${mark} ${says}: ${seen}`);
  }

  /** Prints the table; returns the exit code: 0 only if each statement held. */
  close(seconds: number): number {
    const failed = this.statements.filter(({ held }) => !held).length;
    if (this.#json) {
      process.stdout.write(`${JSON.stringify({ seconds, statements: this.statements })}\n`);
    } else {
      const width = Math.max(...this.statements.map(({ says }) => says.length));
      process.stdout.write(`\n${styleText("bold", "What held")}\n`);
      for (const { says, held } of this.statements) {
        process.stdout.write(`  ${says.padEnd(width)}  ${held ? "held" : "DID NOT HOLD"}\n`);
      }
      process.stdout.write(
        `\n${this.statements.length - failed} of ${this.statements.length} statements held in ${seconds.toFixed(1)} s\n`,
      );
    }
    return failed === 0 ? 0 : 1;
  }
}
