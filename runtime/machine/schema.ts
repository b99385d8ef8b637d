/** The machine file as a schema: which devices exist, which driver may touch what, and what happens when it fails. */
import { z } from "zod";
import { memoryLimit, tierNames, turnLimit, windowMostBytes } from "./manifest-schema.ts";
import { compatibleName, count, duration, name, optionName, optionValue, path, size, text } from "./values.ts";

/** Devices and drivers of one machine: `airlock bench density` has 500 of each. */
const entriesPerMachine = 1_024;
/** Highest interrupt line a machine file may name. */
const highestLine = 1_023;
/** Grants in one list; a driver can hold 31, the rest are mistakes that are reported as such. */
const grantsPerDriver = 256;

/** How many devices a `match` has to find. */
export const expectations = ["exactlyOne", "atMostOne", "atLeastOne", "any"] as const;
export type Expectation = (typeof expectations)[number];

/** What drivers get that neither their manifest nor the machine file limits. */
export const limitDefaults = {
  /** Room for QuickJS (about 1 MiB), a driver's code and its buffers. */
  memoryBytes: 32 * 2 ** 20,
  /** Deep enough for recursive descent over any register map; QuickJS throws before its thread's own stack ends. */
  stackBytes: 256 * 2 ** 10,
  /** A turn that takes longer keeps a client waiting longer than a restart does. */
  turnMs: 40,
  /** Past the turn limit, so that what the sandbox can see itself is reported with the driver's own stack. */
  hangMs: 50,
  /** Devices that reset slowly (a disk spins up) get more in their machine file. */
  initMs: 1_000,
  /** A person reads logs; faster is a flood. */
  logPerSecond: 200,
  /** A UART at 115200 baud without FIFO raises 11 520 per second; a PC's RTC up to 8 192. */
  irqPerSecond: 20_000,
  irqAckMs: 300,
  /** Rings of a few hundred entries, and buffers for as many requests of 64 KiB as a disk has outstanding. */
  dmaBytes: 16 * 2 ** 20,
} as const;

/** What drivers get that the machine file gives no restart policy. */
export const restartDefaults = {
  policy: "permanent",
  intensity: 5,
  periodMs: 10_000,
  backoff: { initialMs: 10, maxMs: 5_000, factor: 2, decayMs: 10_000 },
} as const;

const entries = <V extends z.ZodType>(value: V, what: string) =>
  z.record(name, value).refine(
    (all) => Object.keys(all).length <= entriesPerMachine,
    { error: `has too many ${what}; at most ${entriesPerMachine}` },
  );

const pciAddressHelp = 'is not a PCI address; write bus:device.function in hexadecimal such as "00:04.0"';

const accessWidths = z.array(z.literal([8, 16, 32], { error: "is not an access width; write 8, 16 or 32" })).min(1).max(3);
const portRange = z
  .strictObject(
    {
      base: count(0, 0xffff),
      size: count(1, 0x1_0000),
      widths: accessWidths.default([8]).describe("Access widths in bits the device decodes; [8] when left out"),
    },
  )
  .refine(
    ({ base, size: length }) => base + length <= 0x1_0000,
    { path: ["size"], error: "reaches past port 0xffff; write a smaller one" },
  );
const mmioWindow = z
  .strictObject(
    {
      base: count(0, 2 ** 52),
      size: count(1, windowMostBytes),
      widths: accessWidths.default([8, 16, 32]).describe("Access widths in bits the device decodes; [8, 16, 32] when left out"),
    },
  );
const options = z.record(name, optionValue).default({});
const driverOptions = z.record(optionName, optionValue).default({});

const pciId = count(0, 0xffff);
const pciPlace = z
  .strictObject({
    address: z.string({ error: pciAddressHelp }).regex(/^[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/, { error: pciAddressHelp }).describe("bus:device.function in hexadecimal"),
  })
  .describe("Its place on the PCI bus; windows bar0 to bar5 and config, lines intx and msix0 upwards come with it");

const device = z
  .strictObject({
    compatible: z.array(compatibleName).min(1, { error: "is empty; name at least one" }).max(64).describe(
      "What the device is, most specific first",
    ),
    ports: z.record(name, portRange).default({}).describe("Port ranges by resource name: base and size"),
    pci: pciPlace.optional(),
    mmio: z.record(name, mmioWindow).default({}).describe("MMIO windows by resource name: base and size"),
    irqs: z.record(name, count(0, highestLine)).default({}).describe("Interrupt lines by resource name"),
    options: options.describe("Settings of the device itself: what is plugged into its connector, ..."),
  })
  .describe("A device of the platform; nobody has access to it yet");

const platform = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("sim"),
      epoch: z.iso.datetime({ error: 'is not a time; write one such as "2026-01-01T00:00:00Z"' }).optional().describe(
        "Civil time at the machine's start; now when left out",
      ),
    }),
    z.strictObject({
      type: z.literal("qemu"),
      machine: z.enum(["q35"]).default("q35").describe("QEMU's machine type"),
      binary: path.optional().describe("The QEMU program; looked for when left out"),
    }),
  ])
  .describe("Where the hardware comes from: sim or qemu");

const pciMatch = z
  .strictObject({
    class: count(0, 0xff_ffff).optional().describe("Class code: base class, sub-class, programming interface; 0x010802 is NVMe"),
    vendor: pciId.optional(),
    device: pciId.optional(),
    address: pciPlace.shape.address.optional(),
  })
  .refine((wanted) => Object.values(wanted).some((one) => one !== undefined), { error: "is empty; name a class, vendor, device or address" })
  .describe("What its configuration space says; all that is named has to be so");

const match = z
  .strictObject({
    compatible: z.union([compatibleName.transform((one) => [one]), z.array(compatibleName).min(1).max(64)]).optional().describe("Any of these"),
    pci: pciMatch.optional(),
    expect: z.enum(expectations).default("exactlyOne").describe("How many devices have to match"),
  })
  .refine(({ compatible, pci }) => compatible !== undefined || pci !== undefined, { error: "is empty; name what the device is compatible with, or its pci identity" })
  .describe("Finds the driver's device by what it is");

const backoff = z
  .strictObject({
    initial: duration(1, 60_000).default(restartDefaults.backoff.initialMs).describe(
      "Wait before the second restart; the first is immediate",
    ),
    max: duration(1, 3_600_000).default(restartDefaults.backoff.maxMs).describe("Longest wait"),
    factor: z.number().min(1).max(100).default(restartDefaults.backoff.factor).describe("Growth of the wait per failure"),
    decay: duration(1, 3_600_000).default(restartDefaults.backoff.decayMs).describe(
      "Time without a failure after which the wait starts anew",
    ),
  })
  .refine(({ initial, max }) => initial <= max, { path: ["max"], error: "is below initial; write at least as much" })
  .transform(({ initial, max, factor, decay }) => ({ initialMs: initial, maxMs: max, factor, decayMs: decay }));

const escalate = z
  .discriminatedUnion("to", [
    z.strictObject({ to: z.literal("hold") }),
    z.strictObject({ to: z.literal("stricterTier") }),
    z.strictObject({ to: z.literal("alternative"), package: path.describe("The other driver's package, relative to this file") }),
  ])
  .describe("What happens when the intensity is exceeded");

const restart = z
  .strictObject({
    policy: z.enum(["permanent", "transient", "temporary"]).default(restartDefaults.policy).describe(
      "permanent: always restarted; transient: after failures; temporary: never",
    ),
    intensity: count(0, 10_000).default(restartDefaults.intensity).describe("Restarts per period after which the driver is held"),
    period: duration(10, 86_400_000).default(restartDefaults.periodMs),
    backoff: backoff.default(restartDefaults.backoff),
    escalate: escalate.default({ to: "hold" }),
  })
  .transform(({ period, ...rest }) => ({ ...rest, periodMs: period }));

const limits = z
  .strictObject({
    memory: memoryLimit.optional().describe("Hard maximum of the sandbox's memory"),
    stack: size(16 * 2 ** 10, 512 * 2 ** 10).optional().describe("Guest stack; more than 512KiB could overflow the host's"),
    turn: turnLimit.optional().describe("Longest turn"),
    hang: duration(1, 60_000).optional().describe("Wall time in one turn after which the watchdog looks at it"),
    init: duration(1, 600_000).optional().describe("Longest start"),
    logPerSecond: count(1, 100_000).optional(),
    irqPerSecond: count(1, 10_000_000).optional().describe("Deliveries per second above which a line is cut off"),
    dma: size(4_096, 2 ** 30).optional().describe("Most DMA memory, all regions together"),
    irqAck: duration(1, 60_000).optional().describe("Longest time from delivery to ack"),
  })
  .describe("Limits; what is left out comes from the manifest or the defaults");

const driver = z
  .strictObject({
    package: path.describe("The driver's package, relative to this file"),
    device: name.optional().describe("The device it drives; or use match"),
    match: match.optional(),
    sandbox: z.enum(tierNames).optional().describe("The isolation tier it runs in; when left out, wasm for modules and quickjs for everything else"),
    grants: z.array(name).max(grantsPerDriver).describe("Windows, lines and DMA memory it may touch; [] for none"),
    options: driverOptions.describe("Settings its manifest declares"),
    shadow: options.describe("Settings of its class's shadow, such as a journal's size"),
    dependsOn: z.array(name).max(entriesPerMachine).default([]).describe("Drivers it is restarted after"),
    restart: restart.default({ ...restartDefaults, escalate: { to: "hold" } }),
    limits: limits.default({}),
    spares: count(0, 4).default(1).describe("Warm spare sandboxes"),
  })
  .describe("A driver and its rights");

const exported = z.looseObject({ type: text.describe("The kind of export"), driver: name.describe("The driver that is exported") });

/** The schema of a machine file; what an export's own keys mean is checked with that export's schema. */
export const machineSchema = z
  .strictObject({
    $schema: text.optional(),
    machine: name.describe("The machine's name"),
    platform,
    devices: entries(device, "devices").describe("What exists; nobody has access yet"),
    drivers: entries(driver, "drivers").describe("Who may touch what; absent means denied"),
    exports: entries(exported, "exports").default({}).describe("Devices offered to programs outside"),
  })
  .describe("Airlock machine file");

/** A machine file as written, checked, with units resolved and defaults filled in. */
export type MachineFile = z.output<typeof machineSchema>;
export type PlatformSpec = MachineFile["platform"];
export type DriverEntry = MachineFile["drivers"][string];
export type DeviceEntry = MachineFile["devices"][string];
export type PciMatch = z.output<typeof pciMatch>;
export type RestartSpec = DriverEntry["restart"];
