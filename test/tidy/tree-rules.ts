/** Rules about the shape of the tree: what stands at the top, which folders have a README, what package.json points at. */
import type { SourceFile } from "./source-tree.ts";

/** DESIGN.md's top level, and tool configuration. */
const topFolders = ["runtime", "native", "shims", "drivers", "test", ".ci"];
const topFiles = [
  "README.md", "package.json", "package-lock.json", "LICENSE", ".gitignore", ".npmrc", ".editorconfig", ".gitattributes",
  "tsconfig.json", "tsconfig.build.json", "vitest.config.ts", ".oxlintrc.json",
];

/** Folders with documentation of their own: every part of the runtime, every platform, and these. */
const documented = /^(?:runtime\/platform\/[^/]+|runtime\/[^/]+|native|drivers|shims\/[^/]+|shims|test\/clients|test)\//;

/** What stands at the top and should not. */
export function strangersAtTop(files: readonly SourceFile[]): string[] {
  const allowed = new Set([...topFolders.map((name) => `${name}/`), ...topFiles]);
  const top = new Set(files.map(({ path }) => (path.includes("/") ? `${path.split("/")[0]}/` : path)));
  return [...top].filter((name) => !allowed.has(name));
}

/** Folders that should have a README.md and don't, or have an empty one. */
export function foldersWithoutReadme(files: readonly SourceFile[]): string[] {
  const readmes = new Set(files.filter(({ path, text }) => path.endsWith("README.md") && text.trim().split("\n").length >= 3).map(({ path }) => path));
  const folders = new Set<string>();
  for (const { path } of files) {
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join("/");
      if (documented.exec(`${folder}/`)?.[0] === `${folder}/`) folders.add(folder);
    }
  }
  return [...folders].filter((folder) => !readmes.has(`${folder}/README.md`)).sort();
}

interface Manifest {
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** What package.json points at and nothing is built from or is not there. */
export function danglingExports(files: readonly SourceFile[], manifest: Manifest): string[] {
  const paths = files.map(({ path }) => path);
  const targets = [...Object.values(manifest.exports).flatMap((conditions) => Object.values(conditions)), ...Object.values(manifest.bin ?? {})];
  return targets.filter((target) => {
    const source = target.replace(/^\.\//, "").replace(/^dist\/(.*)\.js$/, "$1.ts");
    const pattern = new RegExp(`^${source.split("*").map((part) => part.replaceAll(/[.\\]/g, String.raw`\$&`)).join("[^/]+")}$`);
    return !paths.some((path) => pattern.test(path));
  });
}

/** Relative links of Markdown files that lead nowhere. */
export function deadLinks(files: readonly SourceFile[]): string[] {
  const known = new Set<string>();
  for (const { path } of files) {
    const parts = path.split("/");
    for (let depth = 1; depth <= parts.length; depth++) known.add(parts.slice(0, depth).join("/"));
  }
  return files.filter(({ path }) => path.endsWith(".md")).flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link]) => link!)
      .filter((link) => !known.has(new URL(link, `file:///${path}`).pathname.replace(/^\/|\/$/g, "")))
      .map((link) => `${path}: ${link}`));
}
