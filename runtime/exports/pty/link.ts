/** The symbolic link that gives a pseudo-terminal a name that stays: put there atomically, taken away at the end. */
import { lstat, readlink, rename, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { AirlockError, errorText } from "../../api/errors.ts";

/** Only a link to a pseudo-terminal can be one of ours, left behind by a process that was killed. */
const terminalPath = /^\/dev\/pts\/\d+$/;

/** Makes `link` point to `target`. @throws AirlockError AddressInUse when something else is there, StateUnusable */
export async function placeLink(link: string, target: string): Promise<void> {
  const temporary = path.join(path.dirname(link), `.${path.basename(link)}.${process.pid}`);
  try {
    const there = await targetOf(link);
    if (there !== undefined && !terminalPath.test(there)) {
      const what = there === "" ? "a file that is no link" : `a link to ${there}, which is no terminal`;
      throw new AirlockError("AddressInUse", `${link} is ${what}; remove it, or choose another "link"`, { path: link });
    }
    await rm(temporary, { force: true });
    await symlink(target, temporary);
    await rename(temporary, link);
  } catch (cause) {
    if (cause instanceof AirlockError) throw cause;
    const what = `cannot make the link ${link}: ${errorText(cause)}; choose another "link"`;
    throw new AirlockError("StateUnusable", what, { path: link }, { cause });
  }
}

/** Removes `link` if it still points to `target`. */
export async function removeLink(link: string, target: string): Promise<void> {
  if ((await targetOf(link)) === target) await rm(link, { force: true });
}

/** Where a link points, "" for what is no link, undefined for nothing. */
async function targetOf(link: string): Promise<string | undefined> {
  try {
    return (await lstat(link)).isSymbolicLink() ? await readlink(link) : "";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
