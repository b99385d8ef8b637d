/** Layouts of 32-bit words: the entries of a queue, which cross a sandbox's border many at a time and never one by one. */

/** Named words of one entry, in order. Numbers above 32 bits take two words, the lower half first. */
export interface WordLayout<N extends string = string> {
  /** Words of one entry. */
  readonly words: number;
  /** Which word of the entry has that name. */
  readonly at: { readonly [K in N]: number };
}

/** Lays out one entry. The first word is always the tag, which ties a completion to its request. */
export function wordLayout<const N extends readonly ["tag", ...string[]]>(...names: N): WordLayout<N[number]> {
  if (new Set(names).size !== names.length) throw new RangeError("a layout of words names each word once");
  return { words: names.length, at: Object.fromEntries(names.map((name, index) => [name, index])) as WordLayout<N[number]>["at"] };
}

const half = 2 ** 32;

/** The number that two words hold; exact up to 2^53. */
export function joinWords(low: number, high: number): number {
  return high * half + low;
}

/** The lower 32 bits of a whole number up to 2^53. */
export function lowWord(value: number): number {
  return value % half;
}

/** What is above the lower 32 bits of a whole number up to 2^53. */
export function highWord(value: number): number {
  return Math.floor(value / half);
}
