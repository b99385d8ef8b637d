/** What documentation lists, to be compared with what code defines: both ways, nothing missing and nothing left over. */

/** The rows of the first Markdown table below `heading`: the first cell of each, without backquotes, to the second. */
export function tableBelow(markdown: string, heading: string): Map<string, string> {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "").trim() === heading);
  if (start < 0) throw new Error(`no heading "${heading}"`);
  const table = lines.slice(start + 1);
  const first = table.findIndex((line) => line.startsWith("|"));
  const end = table.findIndex((line) => /^#+ /.test(line));
  if (first < 0 || (end >= 0 && end < first)) throw new Error(`no table below "${heading}"`);
  const rows = table.slice(first);
  const after = rows.findIndex((line) => !line.startsWith("|"));
  const cells = rows.slice(2, after < 0 ? undefined : after).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  return new Map(cells.map(([name = "", meaning = ""]) => [name.replaceAll("`", ""), meaning]));
}

/** How two tables differ, one line per difference. */
export function differences(defined: Readonly<Record<string, string>>, documented: ReadonlyMap<string, string>): string[] {
  const missing = Object.entries(defined).filter(([name]) => !documented.has(name)).map(([name]) => `"${name}" is not documented`);
  const left = [...documented.keys()].filter((name) => !Object.hasOwn(defined, name)).map((name) => `"${name}" is documented and does not exist`);
  const other = Object.entries(defined).filter(([name, meaning]) => documented.has(name) && documented.get(name) !== meaning)
    .map(([name, meaning]) => `"${name}" means "${meaning}", its documentation says "${documented.get(name)}"`);
  return [...missing, ...left, ...other];
}
