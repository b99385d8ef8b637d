/** Suggestions for mistyped words: the nearest of the words that would have been right. */

/** Longest word that is compared: the distance takes the product of both lengths. */
const longestWord = 64;

/** The candidate nearest to `word`, when it is near enough to be meant; ties go to the first. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  // A third of the word may differ; of a short word one letter.
  return bestDistance <= Math.max(1, Math.floor(Math.max(word.length, best?.length ?? 0) / 3)) ? best : undefined;
}

/** What to do about an unknown word: the suggestion, or what there is. */
export function advice(word: string, candidates: Iterable<string>, kind: string): string {
  const all = [...candidates];
  const near = nearest(word, all);
  if (near !== undefined) return `did you mean "${near}"?`;
  if (all.length === 0) return `there is no ${kind}`;
  const shown = all.slice(0, 12).join(", ");
  return `known: ${shown}${all.length > 12 ? `, and ${all.length - 12} more` : ""}`;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(left: string, right: string): number {
  if (left.length > longestWord || right.length > longestWord) return left === right ? 0 : Infinity;
  let before: number[] = [];
  let above = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const here = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let cost = Math.min(above[column]! + 1, here[column - 1]! + 1, above[column - 1]! + (same ? 0 : 1));
      const swapped = row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) cost = Math.min(cost, before[column - 2]! + 1);
      here.push(cost);
    }
    [before, above] = [above, here];
  }
  return above[right.length]!;
}
