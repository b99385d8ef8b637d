/** Decides whether a module is a driver: only the ABI's imports with exactly their signatures, its exports present, within its limits. */
import { AirlockError } from "../../api/errors.ts";
import { mailboxBytes } from "../../api/bridge.ts";
import { type ExportName, type ImportName, type Signature, abiVersion, exportSignatures, exportedAddresses, importModule, importSignatures, memoryImport, nullBytes, wasmPageBytes } from "./abi.ts";
import { type ModuleExport, type ReadModule, ExternalKind, SectionId } from "./read-module.ts";

/** Functions of one module: the largest Linux drivers with the subsystems below them have a tenth of it; each costs V8 some hundred bytes. */
const mostFunctions = 65_536;
/** Entries of its table: functions whose address is taken. */
const mostTableEntries = 65_536;
/** Globals; compilers make three. */
const mostGlobals = 1_024;
/** Names that one error spells out. */
const mostNames = 20;

/** What the tier needs to know of a module before it runs. */
export interface ModuleFacts {
  /** Addresses of the two mailboxes. */
  readonly inbox: number;
  readonly outbox: number;
  /** Memory the module has to have: its data, stack and first heap. A multiple of 64 KiB. */
  readonly leastBytes: number;
}

/** @throws AirlockError BundleInvalid with everything that is wrong, by name */
export function checkModule(name: string, module: ReadModule): ModuleFacts {
  const problems: string[] = [...importProblems(module), ...sectionProblems(module), ...exportProblems(module)];
  const [memory] = module.memories;
  const leastBytes = (memory?.leastPages ?? 0) * wasmPageBytes;
  const [abi, inbox, outbox] = exportedAddresses.map((address) => addressOf(module, address));
  if (abi !== undefined && versionAt(module, abi) !== abiVersion) {
    problems.push(`it was built for version ${versionAt(module, abi) ?? "?"} of the ABI, this build has ${abiVersion}`);
  }
  const boxes = [["airlock_inbox", inbox], ["airlock_outbox", outbox]] as const;
  for (const [box, at] of boxes) {
    if (at !== undefined && (at < nullBytes || at % 8 !== 0 || at + mailboxBytes > leastBytes)) problems.push(`${box} is at 0x${at.toString(16)}, which is no place for it`);
  }
  if (inbox !== undefined && outbox !== undefined && Math.abs(inbox - outbox) < mailboxBytes) problems.push("its two mailboxes overlap");
  if (module.segments.some(({ address }) => address < nullBytes)) problems.push(`it has data in the first ${nullBytes} bytes of its memory, where nothing may be (link with --global-base=131072)`);
  if (problems.length > 0) throw refusal(name, problems);
  return { inbox: inbox!, outbox: outbox!, leastBytes };
}

function refusal(name: string, problems: readonly string[]): AirlockError {
  const shown = problems.slice(0, mostNames).join("; ");
  const more = problems.length > mostNames ? `; and ${problems.length - mostNames} more` : "";
  return new AirlockError("BundleInvalid", `${name}: refused as a driver: ${shown}${more}; build it with "airlock build"`, { module: name });
}

function importProblems({ functionImports, otherImports, memories, types }: ReadModule): string[] {
  const problems = otherImports.map((what) => `it imports ${what}`);
  for (const { module, name, type } of functionImports) {
    const known = module === importModule && Object.hasOwn(importSignatures, name) ? importSignatures[name as ImportName] : undefined;
    const own = types[type];
    if (known === undefined) problems.push(`it imports ${printable(`${module}.${name}`)}, which is not in the ABI`);
    else if (own === undefined || !isSame(own, known)) problems.push(`it imports ${module}.${name} as ${own === undefined ? "nothing" : text(own)}, which is ${text(known)}`);
  }
  const [memory] = memories;
  if (memory === undefined || memories.length > 1 || memory.module !== importModule || memory.name !== memoryImport) {
    problems.push(`it imports ${memories.length} memories${memory === undefined ? "" : `, ${printable(`${memory.module}.${memory.name}`)} first`}; it has to import one, ${importModule}.${memoryImport}`);
  } else if (memory.flags !== 1) problems.push(memory.flags === 0 ? "its memory has no maximum" : "its memory is shared or has 64-bit addresses");
  return problems;
}

function sectionProblems({ refused, functions, functionImports, tables, globals }: ReadModule): string[] {
  const problems = refused.map((id) => `it has a ${id === SectionId.memory ? "memory of its own" : `section of kind ${id}`}, which drivers cannot have`);
  const count = functions.length + functionImports.length;
  if (count > mostFunctions) problems.push(`it has ${count} functions, more than ${mostFunctions}`);
  if (globals.length > mostGlobals) problems.push(`it has ${globals.length} globals, more than ${mostGlobals}`);
  if (tables.length > 1) problems.push(`it has ${tables.length} tables`);
  for (const { leastEntries } of tables) if (leastEntries > mostTableEntries) problems.push(`its table has ${leastEntries} entries, more than ${mostTableEntries}`);
  return problems;
}

function exportProblems(module: ReadModule): string[] {
  const problems: string[] = [];
  for (const [name, wanted] of Object.entries(exportSignatures)) {
    const found = findExport(module, name);
    const type = found?.kind === ExternalKind.function ? functionType(module, found.index) : undefined;
    if (type === undefined) problems.push(`it does not export the function ${name}`);
    else if (!isSame(type, wanted)) problems.push(`it exports ${name} as ${text(type)}, which is ${text(wanted)}`);
  }
  const first = module.start === undefined ? undefined : functionType(module, module.start);
  if (module.start !== undefined && (first === undefined || first.parameters.length + first.results.length > 0)) problems.push("its start function is none");
  for (const name of exportedAddresses) if (addressOf(module, name) === undefined) problems.push(`it does not export ${name} as a constant i32`);
  return problems;
}

/** The index of a function that `checkModule` has found to be exported. */
export function exportedFunction(module: ReadModule, name: ExportName): number {
  return findExport(module, name)!.index;
}

function findExport(module: ReadModule, name: string): ModuleExport | undefined {
  return module.exports.find((one) => one.name === name);
}

function addressOf(module: ReadModule, name: string): number | undefined {
  const found = findExport(module, name);
  const variable = found?.kind === ExternalKind.global ? module.globals[found.index] : undefined;
  return variable?.type === "i32" && !variable.isMutable ? variable.value : undefined;
}

/** The word at an address of the initial memory; 0 where there is no data, as in the memory itself. */
function versionAt({ segments }: ReadModule, address: number): number {
  const segment = segments.find((one) => address >= one.address && address + 4 <= one.address + one.bytes.length);
  if (segment === undefined) return 0;
  return new DataView(segment.bytes.buffer, segment.bytes.byteOffset).getUint32(address - segment.address, true);
}

function functionType({ functionImports, functions, types }: ReadModule, index: number): Signature | undefined {
  const type = index < functionImports.length ? undefined : functions[index - functionImports.length];
  return type === undefined ? undefined : types[type];
}

function isSame(one: Signature, other: Signature): boolean {
  return one.parameters.join() === other.parameters.join() && one.results.join() === other.results.join();
}

function text({ parameters, results }: Signature): string {
  return `(${parameters.join(", ")}) -> (${results.join(", ")})`;
}

/** Characters of a name that are shown: a module chooses its names. */
const mostNameChars = 100;

function printable(name: string): string {
  return JSON.stringify(name.slice(0, mostNameChars));
}
