/** Payloads of the options INFO, GO, LIST_META_CONTEXT and SET_META_CONTEXT, checked before they are used. */
import { maxTextBytes } from "./protocol.ts";

/** Most queries or information requests in one option; there is one context, and four kinds of information. */
const maxItems = 64;

export interface InfoRequest {
  readonly name: string;
  /** Information types asked for, any numbers. */
  readonly wanted: readonly number[];
}

export interface MetaQuery {
  readonly name: string;
  readonly queries: readonly string[];
}

/** "NBD_OPT_INFO" and "NBD_OPT_GO"; undefined when the bytes are no such payload. */
export function parseInfoRequest(data: Buffer): InfoRequest | undefined {
  const name = textAt(data, 0);
  if (name === undefined || data.length < name.end + 2) return undefined;
  const count = data.readUInt16BE(name.end);
  if (count > maxItems || data.length !== name.end + 2 + 2 * count) return undefined;
  return { name: name.text, wanted: Array.from({ length: count }, (_, index) => data.readUInt16BE(name.end + 2 + 2 * index)) };
}

/** "NBD_OPT_LIST_META_CONTEXT" and "NBD_OPT_SET_META_CONTEXT"; undefined when the bytes are no such payload. */
export function parseMetaQuery(data: Buffer): MetaQuery | undefined {
  const name = textAt(data, 0);
  if (name === undefined || data.length < name.end + 4) return undefined;
  const count = data.readUInt32BE(name.end);
  if (count > maxItems) return undefined;
  const queries: string[] = [];
  let at = name.end + 4;
  for (let index = 0; index < count; index++) {
    const query = textAt(data, at);
    if (query === undefined) return undefined;
    queries.push(query.text);
    at = query.end;
  }
  return at === data.length ? { name: name.text, queries } : undefined;
}

/** A length of 32 bits and as many bytes of UTF-8. */
function textAt(data: Buffer, at: number): { readonly text: string; readonly end: number } | undefined {
  if (data.length < at + 4) return undefined;
  const length = data.readUInt32BE(at);
  const end = at + 4 + length;
  return length > maxTextBytes || end > data.length ? undefined : { text: data.toString("utf8", at + 4, end), end };
}
