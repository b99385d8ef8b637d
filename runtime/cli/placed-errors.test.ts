/** Errors about what a machine file says have their place in it; all others stay as they are. */
import { expect, test } from "vitest";
import { MachineFiles, labText } from "../../test/fixtures/machine-files.ts";
import { AirlockError, type ErrorCode, type ErrorFields } from "../api/errors.ts";
import { placed } from "./placed-errors.ts";

const text = labText
  .replace("    device: rtc\n", "    device: rtc\n    shadow: { century: 20 }\n")
  .replace("compatible: [mc146818]", "compatible: [mc146818], options: { ramBytes: 7 }");

function place(code: ErrorCode, fields: ErrorFields, otherwise?: readonly string[]): string {
  using files = new MachineFiles();
  const loaded = files.load(text);
  const error = new AirlockError(code, "is wrong", fields);
  const result = placed(loaded, error, otherwise);
  if (result === error) return "as it is";
  expect(result).toMatchObject({ code: "MachineFileInvalid", cause: error, fields: { ...fields, file: loaded.file } });
  const { message } = result as AirlockError;
  expect(message.startsWith(`${loaded.file}:`)).toBe(true);
  const [line, column] = message.slice(loaded.file.length + 1).split(":").map(Number);
  return text.split("\n")[line! - 1]!.slice(column! - 1).split(":")[0]!;
}

test.each([
  ["a device", "NotFound", { device: "rtc" }, "rtc"],
  ["an option of a device", "InvalidArgument", { device: "rtc", option: "ramBytes" }, "ramBytes"],
  ["a setting of a shadow", "InvalidArgument", { driver: "clock", setting: "century" }, "century"],
  ["a setting of one instance of several", "InvalidArgument", { driver: "clock.rtc", setting: "century" }, "century"],
  ["a setting of nobody's", "InvalidArgument", { driver: "nobody", setting: "century" }, "as it is"],
  ["a driver's own trouble", "InvalidArgument", { driver: "clock" }, "as it is"],
  ["a platform's trouble with a device", "PlatformUnavailable", { device: "rtc" }, "as it is"],
] as const)("%s", (_, code, fields, expected) => {
  expect(place(code, fields)).toBe(expected);
});

test("a wrong argument that names nothing is where the caller says", () => {
  expect(place("InvalidArgument", {}, ["drivers", "clock"])).toBe("clock");
  expect(place("NotFound", {}, ["drivers", "clock"])).toBe("as it is");
  expect(placed({} as never, "no error")).toBe("no error");
});
