import { availableParallelism } from "node:os";

/**
 * Who runs where: what is measured has processor 0 for itself, and the world around it the next one.
 * With one processor, or without `taskset`, everything runs anywhere.
 */
export type Place = "measured" | "world";

/** A command that runs the given one at its place. */
export function pinned(place: Place, command: readonly string[]): readonly string[] {
  if (availableParallelism() < 2) return command;
  return ["taskset", "-c", place === "measured" ? "0" : "1", ...command];
}
