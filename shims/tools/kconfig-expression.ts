/** Reads conditions of Kconfig ("A && (B || C=n) && !D") and finds what in them can never hold. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

/** What is known of a symbol: that it is on, that it can never be, or neither. */
export type Known = (symbol: string) => boolean | undefined;

type Expression =
  | { readonly kind: "symbol"; readonly name: string }
  | { readonly kind: "compare"; readonly left: string; readonly operator: string; readonly right: string }
  | { readonly kind: "not"; readonly inner: Expression }
  | { readonly kind: "and" | "or"; readonly parts: readonly Expression[] };

/** The part of a condition that can never hold, as Kconfig would write it; undefined when it may hold, or cannot be read. */
export function impossiblePart(condition: string, known: Known): string | undefined {
  const expression = parse(condition);
  return expression === undefined ? undefined : findImpossible(expression, known);
}

function findImpossible(expression: Expression, known: Known): string | undefined {
  if (holds(expression, known) !== false) return undefined;
  if (expression.kind !== "and") return textOf(expression);
  return expression.parts.map((part) => findImpossible(part, known)).find((found) => found !== undefined);
}

/** Whether it holds: undefined where that depends on what is not known. */
function holds(expression: Expression, known: Known): boolean | undefined {
  switch (expression.kind) {
    case "symbol": return known(expression.name);
    case "not": {
      const inner = holds(expression.inner, known);
      return inner === undefined ? undefined : !inner;
    }
    case "compare": return compare(expression, known);
    case "and": case "or": {
      const deciding = expression.kind === "or";
      const values = expression.parts.map((part) => holds(part, known));
      if (values.includes(deciding)) return deciding;
      return values.includes(undefined) ? undefined : !deciding;
    }
  }
}

/** Only "X=n", "X=y" and their opposites say something of a symbol of which it is known that it is on or off. */
function compare({ left, operator, right }: { left: string; operator: string; right: string }, known: Known): boolean | undefined {
  const value = known(left);
  if (value === undefined || (operator !== "=" && operator !== "!=") || !["y", "m", "n"].includes(right)) return undefined;
  const same = right === "n" ? !value : value && right === "y";
  return same === (operator === "=");
}

function textOf(expression: Expression): string {
  switch (expression.kind) {
    case "symbol": return expression.name;
    case "compare": return `${expression.left}${expression.operator}${expression.right}`;
    case "not": return `!${inBrackets(expression.inner)}`;
    case "and": case "or": return expression.parts.map(inBrackets).join(expression.kind === "and" ? " && " : " || ");
  }
}

function inBrackets(expression: Expression): string {
  return expression.kind === "and" || expression.kind === "or" ? `(${textOf(expression)})` : textOf(expression);
}

/** Undefined for what is no condition, or uses more of Kconfig's language: macros. */
function parse(text: string): Expression | undefined {
  const tokens = text.replace(/#.*$/, "").match(/&&|\|\||!=|<=|>=|[!()=<>]|"[^"]*"|[\w.-]+|\S/g) ?? [];
  let at = 0;
  const list = (kind: "and" | "or", separator: string, next: () => Expression | undefined): Expression | undefined => {
    const parts: Expression[] = [];
    do {
      const part = next();
      if (part === undefined) return undefined;
      parts.push(part);
    } while (tokens[at] === separator && at++ < tokens.length);
    return parts.length === 1 ? parts[0] : { kind, parts };
  };
  const either = (): Expression | undefined => list("or", "||", all);
  const all = (): Expression | undefined => list("and", "&&", one);
  const one = (): Expression | undefined => {
    const token = tokens[at++];
    if (token === "!") {
      const inner = one();
      return inner && { kind: "not", inner };
    }
    if (token === "(") {
      const inner = either();
      return tokens[at++] === ")" ? inner : undefined;
    }
    if (token === undefined || !/^(?:\w|")/.test(token)) return undefined;
    const operator = tokens[at];
    if (operator === undefined || !/^(?:=|!=|<|>|<=|>=)$/.test(operator)) return { kind: "symbol", name: token };
    const right = tokens[at + 1];
    at += 2;
    return right === undefined ? undefined : { kind: "compare", left: token, operator, right };
  };
  const expression = either();
  return at === tokens.length ? expression : undefined;
}
