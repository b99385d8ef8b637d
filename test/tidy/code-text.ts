/** Code without its comments and the contents of its strings, every other character in its place. */

/** What a slash after it begins: an operand is expected, so a regular expression. */
const beforeRegExp = /(?:^|[([{,;:=!&|?+\-*%~^<>}])$/;
const wordBeforeRegExp = /\b(?:return|typeof|case|in|of|void|yield|await|delete|throw|else|do)$/;

/** Comments, texts, template texts and regular expressions become blanks; quotes and line ends stay. */
export function codeOnly(text: string): string {
  return new Blanker(text).run();
}

class Blanker {
  readonly #text: string;
  #out = "";
  #at = 0;
  /** Open braces within each `${` that is open. */
  readonly #templates: number[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  run(): string {
    while (this.#at < this.#text.length) this.#next();
    return this.#out;
  }

  #next(): void {
    const char = this.#text[this.#at]!;
    const two = this.#text.slice(this.#at, this.#at + 2);
    if (two === "//" || (two === "#!" && this.#at === 0)) this.#blank(this.#find(/\n|$/g));
    else if (two === "/*") this.#blank(this.#find(/\*\/|$/g) + 2);
    else if (char === '"' || char === "'") this.#quoted(char);
    else if (char === "`") this.#template();
    else if (char === "/" && this.#expectsOperand()) this.#regExp();
    else this.#code(char);
  }

  #code(char: string): void {
    const depth = this.#templates.length - 1;
    if (depth >= 0 && char === "{") this.#templates[depth]!++;
    if (depth >= 0 && char === "}" && this.#templates[depth]!-- === 0) {
      this.#templates.pop();
      this.#keep();
      this.#templateText();
    } else this.#keep();
  }

  #quoted(quote: string): void {
    this.#keep();
    this.#blank(this.#find(new RegExp(String.raw`(?<!\\)(?:\\\\)*(?=${quote})|\n|$`, "g"), true));
    this.#keep();
  }

  #template(): void {
    this.#keep();
    this.#templateText();
  }

  /** Up to the closing backtick or the next `${`. */
  #templateText(): void {
    let end = this.#at;
    while (end < this.#text.length && this.#text[end] !== "`" && !this.#text.startsWith("${", end)) end += this.#text[end] === "\\" ? 2 : 1;
    this.#blank(end);
    if (this.#text[this.#at] === "`") this.#keep();
    else if (this.#at < this.#text.length) {
      this.#keep();
      this.#keep();
      this.#templates.push(0);
    }
  }

  #regExp(): void {
    let end = this.#at + 1;
    let inSet = false;
    while (end < this.#text.length && this.#text[end] !== "\n" && (inSet || this.#text[end] !== "/")) {
      if (this.#text[end] === "[") inSet = true;
      if (this.#text[end] === "]") inSet = false;
      end += this.#text[end] === "\\" ? 2 : 1;
    }
    this.#keep();
    this.#blank(end);
    this.#keep();
  }

  #expectsOperand(): boolean {
    const before = this.#out.slice(-200).trimEnd();
    return beforeRegExp.test(before) || wordBeforeRegExp.test(before);
  }

  /** Where the pattern is found next; with `after`, the end of what it matched. */
  #find(pattern: RegExp, after = false): number {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return this.#text.length;
    return found.index + (after ? found[0].replace("\n", "").length : 0);
  }

  #keep(): void {
    this.#out += this.#text[this.#at++] ?? "";
  }

  #blank(end: number): void {
    const stop = Math.min(end, this.#text.length);
    this.#out += this.#text.slice(this.#at, stop).replaceAll(/[^\n]/g, " ");
    this.#at = stop;
  }
}
