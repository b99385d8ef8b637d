/** Fixed binary layouts: the one description from which a message's encoder, decoder and validator are derived. */

/** One field of a layout. `check` says why a value does not fit, or undefined. Little endian throughout. */
export interface Field<T> {
  /** Bytes taken in the fixed part; a `bytes` field takes a 2-byte length here and its data after the fixed part. */
  readonly sizeBytes: number;
  /** Most bytes the field can add behind the fixed part. */
  readonly tailBytes: number;
  /** What fits, for error texts and documentation: "0..59", "one of a, b". */
  readonly range: string;
  check(value: unknown): string | undefined;
  write(view: DataView, at: number, value: T): void;
  read(view: DataView, at: number): T;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;
export type FieldValue<F> = F extends { read(view: DataView, at: number): infer T } ? T : never;
export type StructValue<F> = { [K in keyof F]: FieldValue<F[K]> };

/** What decoding hostile bytes gives: the value, or why they are malformed. Never an exception. */
export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

export interface Struct<F> {
  readonly fields: F;
  /** Exact length of every message, or the least length when a `bytes` field ends the layout. */
  readonly fixedBytes: number;
  readonly maxBytes: number;
  /** Why `value` does not fit this layout, naming the field; undefined when it does. */
  check(value: unknown): string | undefined;
  /** Bytes of a value that `check` accepts. A value it does not accept is a bug of the caller: RangeError. */
  encode(value: StructValue<F>): Uint8Array;
  /** Reads and validates; wrong length, out-of-range or non-canonical values are `ok: false`. */
  decode(bytes: Uint8Array): Decoded<StructValue<F>>;
}

/** Unsigned 8-bit integer, optionally within `min..max`. */
export const u8 = (min = 0, max = 0xff): Field<number> =>
  integer(1, min, max, (v, at, n) => v.setUint8(at, n), (v, at) => v.getUint8(at));
/** Unsigned 16-bit integer, optionally within `min..max`. */
export const u16 = (min = 0, max = 0xffff): Field<number> =>
  integer(2, min, max, (v, at, n) => v.setUint16(at, n, true), (v, at) => v.getUint16(at, true));
/** Unsigned 32-bit integer, optionally within `min..max`. */
export const u32 = (min = 0, max = 0xffff_ffff): Field<number> =>
  integer(4, min, max, (v, at, n) => v.setUint32(at, n, true), (v, at) => v.getUint32(at, true));
/** Unsigned integer up to 2^53-1, carried as a double: microsecond times and byte counts. */
export const u53 = (min = 0, max = Number.MAX_SAFE_INTEGER): Field<number> =>
  integer(8, min, max, (v, at, n) => v.setFloat64(at, n, true), (v, at) => v.getFloat64(at, true));

/** A boolean as one byte, 0 or 1; anything else is malformed. */
export function bool(): Field<boolean> {
  return {
    sizeBytes: 1, tailBytes: 0, range: "true or false",
    check: (value) => (typeof value === "boolean" ? undefined : "is not a boolean"),
    write: (view, at, value) => view.setUint8(at, value ? 1 : 0),
    read: (view, at) => {
      const byte = view.getUint8(at);
      return byte === 0 ? false : byte === 1 ? true : (byte as unknown as boolean);
    },
  };
}

/** One of the named values, carried as its index in one byte. */
export function oneOf<const V extends readonly string[]>(...values: V): Field<V[number]> {
  return {
    sizeBytes: 1, tailBytes: 0, range: `one of ${values.join(", ")}`,
    check: (value) => (values.includes(value as string) ? undefined : `is not one of ${values.join(", ")}`),
    write: (view, at, value) => view.setUint8(at, values.indexOf(value)),
    read: (view, at) => values[view.getUint8(at)] as V[number],
  };
}

/** Up to `maxBytes` bytes of data; only as the last field of a layout. Decoding copies. */
export function bytes(maxBytes: number): Field<Uint8Array> {
  return {
    sizeBytes: 2, tailBytes: maxBytes, range: `0..${maxBytes} bytes`,
    check: (value) =>
      !(value instanceof Uint8Array) ? "is not a Uint8Array"
      : value.length > maxBytes ? `has ${value.length} bytes, more than ${maxBytes}` : undefined,
    write: (view, at, value) => {
      view.setUint16(at, value.length, true);
      new Uint8Array(view.buffer, view.byteOffset + at + 2, value.length).set(value);
    },
    read: (view, at) => {
      const length = Math.min(view.getUint16(at, true), view.byteLength - at - 2);
      return new Uint8Array(view.buffer, view.byteOffset + at + 2, length).slice();
    },
  };
}

/** A message layout: fields in order, no padding. */
export function struct<const F extends Fields>(fields: F): Struct<F> {
  const entries = Object.entries(fields);
  const fixedBytes = entries.reduce((sum, [, field]) => sum + field.sizeBytes, 0);
  const tails = entries.filter(([, field]) => field.tailBytes > 0);
  if (tails.length > 1 || (tails.length === 1 && entries.at(-1)![1].tailBytes === 0)) {
    throw new RangeError("a layout has at most one bytes() field, and it comes last");
  }
  const tailBytes = tails[0]?.[1].tailBytes ?? 0;

  const check = (value: unknown): string | undefined => {
    if (typeof value !== "object" || value === null) return entries.length === 0 ? undefined : "is not an object";
    for (const [name, field] of entries) {
      const reason = field.check((value as Record<string, unknown>)[name]);
      if (reason !== undefined) return `${name} ${reason}`;
    }
    return undefined;
  };

  return {
    fields, fixedBytes, maxBytes: fixedBytes + tailBytes, check,
    encode(value) {
      const reason = check(value);
      if (reason !== undefined) throw new RangeError(reason);
      const record = value as Record<string, unknown>;
      const tail = tails.length === 1 ? (record[tails[0]![0]] as Uint8Array).length : 0;
      const out = new Uint8Array(fixedBytes + tail);
      const view = new DataView(out.buffer);
      let at = 0;
      for (const [name, field] of entries) {
        field.write(view, at, record[name]);
        at += field.sizeBytes;
      }
      return out;
    },
    decode(data) {
      if (data.length < fixedBytes) return { ok: false, reason: `has ${data.length} bytes, needs ${fixedBytes}` };
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const value: Record<string, unknown> = {};
      let at = 0;
      let end = fixedBytes;
      for (const [name, field] of entries) {
        if (field.tailBytes > 0) end += view.getUint16(at, true);
        const item = field.read(view, at);
        const reason = field.check(item);
        if (reason !== undefined) return { ok: false, reason: `${name} ${reason}` };
        value[name] = item;
        at += field.sizeBytes;
      }
      if (data.length !== end) return { ok: false, reason: `has ${data.length} bytes, its layout says ${end}` };
      return { ok: true, value: value as StructValue<F> };
    },
  };
}

function integer(
  sizeBytes: number, min: number, max: number,
  write: (view: DataView, at: number, value: number) => void, read: (view: DataView, at: number) => number,
): Field<number> {
  const range = `${min}..${max}`;
  return {
    sizeBytes, tailBytes: 0, range, write, read,
    check: (value) =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max
        ? undefined : `is ${describe(value)}, not an integer in ${range}`,
  };
}

function describe(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : value === null ? "null" : typeof value;
}
