/** The source map of a WebAssembly module, decoded to tables: which C file and line each offset comes from. */

/** A place in the sources; numbers from 1. */
export interface ModulePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** Value of each character code; -1 for what is no digit. */
const values = Int8Array.from({ length: 128 }, (_, code) => digits.indexOf(String.fromCharCode(code)));
const comma = ",".charCodeAt(0);
/** Words of one mapping: offset, source, line, column; the source is -1 where the code is of none. */
const entryWords = 4;

/**
 * Node's own reader makes an object of each mapping, which for a large driver takes the control plane some 50 ms; this one takes 5, and
 * each search next to nothing.
 */
export class ModuleMap {
  readonly #sources: readonly string[];
  readonly #entries: Int32Array;

  private constructor(sources: readonly string[], entries: Int32Array) {
    this.#sources = sources;
    this.#entries = entries;
  }

  /** Reads a source map v3 of one line, whose columns are byte offsets; undefined when it is none. */
  static parse(text: string): ModuleMap | undefined {
    const parsed = parseJson(text);
    if (typeof parsed !== "object" || parsed === null) return undefined;
    const { version, sources, mappings, sections } = parsed as Readonly<Record<string, unknown>>;
    if (version !== 3 || sections !== undefined || typeof mappings !== "string") return undefined;
    if (!Array.isArray(sources) || !sources.every((source): source is string => typeof source === "string")) return undefined;
    const entries = decode(mappings, sources.length);
    return entries && new ModuleMap(sources, entries);
  }

  /** The place that the code at an offset comes from; undefined where it comes from none. */
  find(offset: number): ModulePlace | undefined {
    const entries = this.#entries;
    let low = 0;
    let high = entries.length / entryWords;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (entries[middle * entryWords]! <= offset) low = middle + 1;
      else high = middle;
    }
    const at = (low - 1) * entryWords;
    const file = at < 0 ? undefined : this.#sources[entries[at + 1]!];
    return file === undefined ? undefined : { file, line: entries[at + 2]! + 1, column: entries[at + 3]! + 1 };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The mappings as words; undefined for what is no list of mappings on one line in ascending order. */
function decode(mappings: string, sources: number): Int32Array | undefined {
  let most = 1;
  for (let at = mappings.indexOf(","); at >= 0; at = mappings.indexOf(",", at + 1)) most++;
  const entries = new Int32Array(most * entryWords);
  const last = [0, 0, 0, 0];
  let used = 0;
  for (let at = 0; at < mappings.length; at++) {
    let fields = 0;
    for (; at < mappings.length && mappings.charCodeAt(at) !== comma; fields++) {
      let value = 0;
      let shift = 0;
      for (let more = true; more; at++, shift += 5) {
        const digit = values[mappings.charCodeAt(at)] ?? -1;
        if (digit < 0 || shift > 30) return undefined;
        value |= (digit & 31) << shift;
        more = digit >= 32;
      }
      if (fields < entryWords) last[fields]! += (value & 1) === 1 ? -(value >>> 1) : value >>> 1;
    }
    if (fields === 0) continue;
    if (last.some((value) => value < 0 || value > 0x7fff_ffff) || last[1]! >= Math.max(1, sources)) return undefined;
    if (used > 0 && entries[used - entryWords]! > last[0]!) return undefined;
    entries.set(fields < entryWords ? [last[0]!, -1, 0, 0] : last, used);
    used += entryWords;
  }
  return entries.slice(0, used);
}
