/** Gives an error about what a machine file says its place in that file. */
import { AirlockError, isAirlockError } from "../api/errors.ts";
import type { LoadedMachine } from "../machine/load.ts";
import type { Path } from "../machine/source.ts";

/**
 * The error as it is, or, when a device, one of its options or a setting of a shadow is to blame, as MachineFileInvalid with
 * file, line and column. `otherwise` is to blame for any other wrong argument.
 */
export function placed(loaded: LoadedMachine, error: unknown, otherwise?: Path): unknown {
  if (!isAirlockError(error, "NotFound") && !isAirlockError(error, "InvalidArgument")) return error;
  const blamed = blamedBy(loaded, error) ?? (error.code === "InvalidArgument" ? otherwise : undefined);
  if (blamed === undefined) return error;
  const { line, column } = loaded.source.locate(blamed, "key");
  return new AirlockError("MachineFileInvalid", `${loaded.file}:${line}:${column}: ${error.message}`, { ...error.fields, file: loaded.file, line, column }, { cause: error });
}

function blamedBy({ drivers }: LoadedMachine, { fields: { device, option, driver, setting } }: AirlockError): Path | undefined {
  if (typeof device === "string") return typeof option === "string" ? ["devices", device, "options", option] : ["devices", device];
  if (typeof driver !== "string" || typeof setting !== "string") return undefined;
  // Of several matched devices the instance is "<driver>.<device>".
  const entry = drivers.find(({ name }) => driver === name || driver.startsWith(`${name}.`));
  return entry && ["drivers", entry.name, "shadow", setting];
}
