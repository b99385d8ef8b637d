/** What commands print: results as text or JSON, with nothing in it that could control a terminal. */
import type { Output } from "./command.ts";

/** The part of a stream that is needed here; tests give their own. */
export interface TextSink {
  write(text: string): unknown;
}

export class CommandOutput implements Output {
  readonly #json: boolean;
  readonly #stdout: TextSink;
  readonly #stderr: TextSink;

  constructor(json: boolean, stdout: TextSink, stderr: TextSink) {
    this.#json = json;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  result(value: unknown, text: () => string): void {
    this.line(this.#json ? jsonText(value) : text());
  }

  print(text: string): void {
    if (!this.#json) this.line(text);
  }

  line(text: string): void {
    this.#stdout.write(`${plainText(text, true).replace(/\n+$/, "")}\n`);
  }

  remark(text: string): void {
    if (!this.#json) this.#stderr.write(`${plainText(text)}\n`);
  }
}

/**
 * Text with control and formatting characters written out: names, logs and failures are hostile, and a terminal obeys
 * what it is sent. Line ends stay when `lines` is set.
 */
export function plainText(text: string, lines = false): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => (lines && char === "\n" ? char : unicodeEscape(char.codePointAt(0)!)));
}

/** One line of JSON, ASCII controls and above escaped; bigint as decimal text. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? String(item) : item)) ?? "null";
  return escapedJson(text);
}

/** JSON text with what a terminal would obey written as JSON's own escapes; a line end at its end stays. */
export function escapedJson(text: string): string {
  const body = text.endsWith("\n") ? text.slice(0, -1) : text;
  const clean = body.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => Array.from({ length: char.length }, (_, i) => unicodeEscape(char.charCodeAt(i))).join(""));
  return clean + text.slice(body.length);
}

function unicodeEscape(code: number): string {
  return `\\u${code.toString(16).padStart(4, "0")}`;
}
