/** Makes a driver package: drivers/template under a new name, or for another class a skeleton made from its contract. */
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ClassContract } from "../api/contract.ts";
import type { Fields } from "../api/layout.ts";
import { AirlockError, errorText } from "../api/errors.ts";
import { loadManifest } from "../machine/manifest.ts";
import { apiVersion } from "../machine/manifest-schema.ts";
import { loadContract } from "./package-check.ts";

export interface NewPackage {
  readonly directory: string;
  /** Names of its files. */
  readonly files: readonly string[];
  readonly from: "template" | "contract";
}

/** @throws AirlockError AddressInUse when the folder exists, NotFound when its parent does not, StateUnusable */
export async function newPackage(className: string, name: string, parent: string): Promise<NewPackage> {
  const directory = path.join(parent, name);
  if (!existsSync(parent)) throw new AirlockError("NotFound", `${parent}: there is no such directory; make it, or name another with --in`, { directory: parent });
  if (existsSync(directory)) throw new AirlockError("AddressInUse", `${directory} exists already; choose another name, or remove it`, { directory });
  const template = templateFolder();
  const isCopy = loadManifest(template).manifest.class === className;
  const files = isCopy ? await templateFiles(template, name) : await skeletonFiles(className, name);
  // Under a name of its own first: a package is there whole or not at all.
  const temporary = path.join(parent, `.${name}.${process.pid}`);
  try {
    await mkdir(temporary);
    for (const [file, text] of files) await writeFile(path.join(temporary, file), text);
    await rename(temporary, directory);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw new AirlockError("StateUnusable", `cannot make ${directory}: ${errorText(cause)}; free space there or name another place with --in`, { directory }, { cause });
  }
  return { directory, files: [...files.keys()], from: isCopy ? "template" : "contract" };
}

function templateFolder(): string {
  const own = path.dirname(fileURLToPath(import.meta.url));
  const found = ["../..", "../../.."].map((up) => path.join(own, up, "drivers/template")).find((folder) => existsSync(path.join(folder, "driver.json")));
  if (found === undefined) throw new AirlockError("NotFound", "this installation has no drivers/template; install Airlock anew");
  return found;
}

async function templateFiles(template: string, name: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(template, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(async ({ name: file }): Promise<[string, string]> => {
    const text = await readFile(path.join(template, file), "utf8");
    return [file, file === "driver.json" ? text.replace(/("name"\s*:\s*)"[^"]*"/, `$1"${name}"`) : text];
  });
  return new Map(await Promise.all(files));
}

async function skeletonFiles(className: string, name: string): Promise<ReadonlyMap<string, string>> {
  const contract = await loadContract(className);
  if (contract === undefined) throw new AirlockError("NotFound", `class "${className}" has no contract in runtime/classes/${className}`, { class: className });
  return new Map([["driver.json", manifestText(contract, name)], ["driver.ts", driverText(contract, name)], ["driver.test.ts", testText(contract)]]);
}

function manifestText({ name: className, version }: ClassContract, name: string): string {
  return `${JSON.stringify({
    name, class: className, apiVersion, contractVersion: version, tier: "quickjs", main: "driver.ts", compatible: [name.toLowerCase()],
    needs: { windows: { regs: { sizeBytes: 8, rights: "readwrite", widths: [8] } }, irqs: ["line"] },
    quiesce: [{ do: "write", window: "regs", offset: 1, width: 8, value: 0 }],
  }, null, 2)}\n`;
}

function driverText({ name: className, operationList, eventList }: ClassContract, name: string): string {
  const operations = operationList.map(({ name: operation, treatment, args, reply }) => [
    `    /** Given ${fieldsText(args.fields)}; answers ${fieldsText(reply.fields)}. When the driver dies midway: ${treatment}. */`,
    `    ${operation}: () => unwritten("${operation}"),`,
  ].join("\n"));
  const events = eventList.map(({ name: event, payload }) => `//   emit("${event}", ...): ${fieldsText(payload.fields)}`);
  return `/** ${name}: a driver of class ${className}. Say here which device it drives, and from which datasheet. */
import { defineDriver } from "airlock/driver";
import { ${className} } from "airlock/driver/${className}";

/** Offsets in the window "regs", with the section of the datasheet each comes from. */
const interruptStatus = 0;
const interruptEnable = 1;

// Clients are told with emit of the context:
${events.join("\n")}

// \`init\` runs at every start: also after this driver crashed, on a device in whatever state the crash left it.
export default defineDriver(${className}, ({ window, irq, log }) => {
  const regs = window("regs");
  const line = irq("line");

  regs.write8(interruptEnable, 0);
  line.attach(() => {
    // Find and clear the cause first, then ack.
    const causes = regs.read8(interruptStatus);
    log.debug(\`interrupt, causes \${causes}\`);
    line.ack();
  });

  return {
${operations.join("\n")}
  };
});

/** Ends the driver, and says what is missing. */
function unwritten(operation: string): never {
  throw new Error(\`\${operation} is not written yet\`);
}
`;
}

function testText({ operationList }: ClassContract): string {
  const first = operationList.find(({ args }) => args.maxBytes === 0) ?? operationList[0]!;
  const hasNoArgs = first.args.maxBytes === 0;
  return `/** The driver on a fake register window: no machine needed. */
import { startDriver } from "airlock/driver-testing";
import { expect, test } from "vitest";
import driver from "./driver.ts";

/** A device with eight registers; reading the first takes its interrupt back. */
async function start() {
  const registers = new Uint8Array(8);
  let lower = (): void => undefined;
  const space = {
    read: (offset: number) => {
      if (offset === 0) lower();
      return registers[offset]!;
    },
    write: (offset: number, _width: number, value: number) => { registers[offset] = value; },
  };
  registers[1] = 0xff;
  const running = await startDriver(driver, { windows: { regs: { sizeBytes: 8, space } }, irqs: ["line"] });
  lower = () => running.setIrq("line", false);
  return { registers, running };
}

test("starts on a device that another driver left with interrupts on", async () => {
  const { registers } = await start();
  expect(registers[1]).toBe(0);
});

test("clears the cause of every interrupt, then acks it", async () => {
  const { running } = await start();
  for (let interrupt = 0; interrupt < 2; interrupt++) {
    running.setIrq("line", true);
    await running.advance(1);
  }
  expect(running.logs).toHaveLength(2);
});
${hasNoArgs ? `
test("${first.name} is to be written next", async () => {
  const { running } = await start();
  await expect(running.call("${first.name}", {})).rejects.toThrow("not written yet");
});
` : ""}`;
}

/** "hour 0..23, minute 0..59", or "nothing". */
function fieldsText(fields: Fields): string {
  return Object.entries(fields).map(([name, { range }]) => `${name} ${range}`).join(", ") || "nothing";
}
