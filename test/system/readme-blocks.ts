/** The blocks of README.md that a test carries out: each follows a comment `<!-- test: <verb> <argument> -->`. */
import assert from "node:assert/strict";

/**
 * `run`: shell commands that have to succeed. `start`: one that goes on in the background. `file`: the text of a new file.
 * `excerpt`: code that is in a file, paragraph by paragraph. `edit`: a diff without line numbers, paragraph by paragraph.
 * `shown`: commands after "$ " with their output; "..." stands for anything.
 */
export type BlockVerb = "run" | "start" | "file" | "excerpt" | "edit" | "shown";

export interface Block {
  readonly verb: BlockVerb;
  readonly argument: string;
  readonly text: string;
  /** Of the comment, from 1. */
  readonly line: number;
}

const verbs: readonly string[] = ["run", "start", "file", "excerpt", "edit", "shown"];

/** Throws on a comment that is no block or has an unknown verb: a block that is silently not tested is worse than none. */
export function readBlocks(markdown: string): Block[] {
  return [...markdown.matchAll(/^<!-- test: (.*) -->$/gm)].map((match) => {
    const line = markdown.slice(0, match.index).split("\n").length;
    const fence = /^\n```\w+\n(.*?)^```$/ms.exec(markdown.slice(match.index + match[0].length));
    const [verb = "", argument = ""] = match[1]!.split(" ");
    assert(fence?.index === 0, `line ${line}: no block follows`);
    assert(verbs.includes(verb), `line ${line}: no verb "${verb}"`);
    return { verb: verb as BlockVerb, argument, text: fence[1]!, line };
  });
}

/** Parts of a block that are separated by empty lines. */
export function paragraphs(text: string): string[] {
  return text.split(/\n\s*\n/).map((part) => part.replace(/\n+$/, "")).filter((part) => part !== "");
}

/** `text` with each paragraph of the diff applied; what it changes has to be there exactly once. */
export function applyEdit(text: string, diff: string): string {
  return paragraphs(diff).reduce((edited, hunk) => {
    const lines = hunk.split("\n");
    const side = (other: string): string => lines.filter((line) => !line.startsWith(other)).map((line) => line.slice(1)).join("\n");
    assert.equal(edited.split(side("+")).length - 1, 1, `found not once: ${side("+")}`);
    return edited.replace(side("+"), () => side("-"));
  }, text);
}

/** The commands of a `shown` block with what each prints. */
export function shownCommands(text: string): { command: string; output: string }[] {
  return text.split(/^\$ /m).slice(1).map((part) => {
    const end = part.indexOf("\n");
    return { command: part.slice(0, end), output: part.slice(end + 1).trimEnd() };
  });
}

/** Whether a command printed that; runs of blanks count as one. */
export function isShown(expected: string, printed: string): boolean {
  const squeeze = (text: string): string => text.trim().replaceAll(/[ \t]+/g, " ");
  const pattern = squeeze(expected).split("...").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`)).join(".*");
  return new RegExp(`^${pattern}$`, "s").test(squeeze(printed));
}
