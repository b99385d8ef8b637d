/** The median of some figures, to a tenth: what a noisy machine is reported by. */
export function median(values: readonly number[]): number {
  return Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]! * 10) / 10;
}
