/** The texts of a new driver package, made from its class's contract: a manifest, a driver whose operations are unwritten, and a test. */
import type { ClassContract, Queue } from "../api/contract.ts";
import type { Fields } from "../api/layout.ts";
import { apiVersion } from "../machine/manifest-schema.ts";

/** Lines of a package are no longer than this. */
const lineLength = 120;

/** The hardware a skeleton is written for. */
interface Hardware {
  readonly window: string;
  readonly irq: string;
  readonly width: 8 | 32;
  /** A device of a class with queues is on the PCI bus and has DMA. */
  readonly hasDma: boolean;
}

function hardwareOf({ queueList }: ClassContract): Hardware {
  return queueList.length > 0 ? { window: "bar0", irq: "intx", width: 32, hasDma: true } : { window: "regs", irq: "line", width: 8, hasDma: false };
}

/** Bytes of the window, and where its two registers are. */
const windowRegisters = 8;

export function manifestText(contract: ClassContract, name: string): string {
  const { window, irq, width, hasDma } = hardwareOf(contract);
  const bytes = width / 8;
  const dma = hasDma ? `,
    "dma": {
      "queues": { "size": "64KiB" },
      "buffers": { "size": "8MiB", "use": "buffers" }
    }` : "";
  return `{
  "name": "${name}",
  "class": "${contract.name}",
  "apiVersion": ${apiVersion},
  "contractVersion": ${contract.version},
  "tier": "quickjs",
  "main": "driver.ts",
  "compatible": ["${name.toLowerCase()}"],
  "needs": {
    "windows": { "${window}": { "sizeBytes": ${windowRegisters * bytes}, "rights": "readwrite", "widths": [${width}] } },
    "irqs": ["${irq}"]${dma}
  },
  "quiesce": [
    { "do": "write", "window": "${window}", "offset": ${bytes}, "width": ${width}, "value": 0 }
  ]
}
`;
}

export function driverText(contract: ClassContract, name: string): string {
  const { name: className, operationList, eventList, queueList } = contract;
  const { window, irq, width, hasDma } = hardwareOf(contract);
  const operations = operationList.map(({ name: operation, treatment, args, reply }) => [
    comment(`Given ${fieldsText(args.fields)}; answers ${fieldsText(reply.fields)}. When the driver dies midway: ${treatment}.`, "    "),
    `    ${operation}: () => unwritten("${operation}"),`,
  ].join("\n"));
  const events = eventList.map(({ name: event, payload }) => lines(`emit("${event}", ...): ${fieldsText(payload.fields)}`, "//   ", "//     "));
  const given = ["window", "irq", ...(hasDma ? ["dma", "queue"] : []), "log"].join(", ");
  return `/** ${name}: a driver of class ${className}. Say here which device it drives, and from which datasheet. */
import { defineDriver } from "airlock/driver";
import { ${className} } from "airlock/driver/${className}";

/** Offsets in the window "${window}", with the section of the datasheet each comes from. */
const interruptStatus = 0;
const interruptEnable = ${width / 8};

// Clients are told with emit of the context:
${events.join("\n")}

// \`init\` runs at every start: also after this driver crashed, on a device in whatever state the crash left it.
export default defineDriver(${className}, ({ ${given} }) => {
  const ${window} = window("${window}");
  const ${irq} = irq("${irq}");
${hasDma ? ringsText : ""}
  ${window}.write${width}(interruptEnable, 0);
  ${irq}.attach(() => {
    // Find and clear the cause first, then ack.
    const causes = ${window}.read${width}(interruptStatus);
    log.debug(\`interrupt, causes \${causes}\`);
    ${irq}.ack();
  });
${queueList.map((queue) => queueText(queue)).join("")}
  return {
${operations.join("\n")}
  };
});

/** Ends the driver, and says what is missing. */
function unwritten(what: string): never {
  throw new Error(\`\${what} is not written yet\`);
}
`;
}

/** The buffers, where the class's data lies, need no code: requests say where in them. */
const ringsText = `
  // What this driver and its device share, such as the device's rings; byte 0 is at rings.iova for the device. It holds what the
  // last driver left. Call rings.syncForDevice before a register write that makes the device look, rings.syncForCpu before reading
  // what the device wrote: copy, then check, then use.
  const rings = dma("queues");
  rings.words.fill(0);
`;

function queueText({ name, request, completion }: Queue): string {
  const completed = Object.keys(completion.at).join(", ");
  return `
  // A request: ${Object.keys(request.at).join(", ")}. Complete each once, in any order: ${name}.complete(${completed}).
  const ${name} = queue("${name}");
  ${name}.onRequests((words, count) => {
    log.debug(\`\${count} requests in \${words.length} words\`);
    // Put them into a ring, then tell the device of all of them at once.
    unwritten("queue ${name}");
  });
`;
}

export function testText(contract: ClassContract): string {
  const { operationList, queueList } = contract;
  const { window, irq, width, hasDma } = hardwareOf(contract);
  const first = operationList.find(({ args }) => args.maxBytes === 0) ?? operationList[0]!;
  const hasNoArgs = first.args.maxBytes === 0;
  const hardware = `windows: { ${window}: { sizeBytes: ${windowRegisters * (width / 8)}, space${width === 8 ? "" : `, widths: [${width}]`} } }, irqs: ["${irq}"]`;
  return `/** The driver on a fake register window: no machine needed. */
import { ${hasDma ? "TestMemory, " : ""}startDriver } from "airlock/driver-testing";
import { expect, test } from "vitest";
import driver from "./driver.ts";

/** A device with ${windowRegisters} registers; reading the first takes its interrupt back. */
async function start() {
  const registers = new ${width === 8 ? "Uint8Array" : "Uint32Array"}(${windowRegisters});
  let lower = (): void => undefined;
  const space = {
    read: (offset: number) => {
      if (offset === 0) lower();
      return registers[${width === 8 ? "offset" : "offset / 4"}]!;
    },
    write: (offset: number, _width: number, value: number) => { registers[${width === 8 ? "offset" : "offset / 4"}] = value; },
  };
  registers[1] = 0xff;
${hasDma ? `  // The device's copy is separate: a driver that forgets a sync fails its test.
  const memory = new TestMemory({ separate: true }).addRegion("queues", 65_536);
` : ""}  const running = await startDriver(driver, { ${hardware}${hasDma ? ", memory" : ""} });
  lower = () => running.setIrq("${irq}", false);
  return { registers, running };
}

test("starts on a device that another driver left with interrupts on", async () => {
  const { registers } = await start();
  expect(registers[1]).toBe(0);
});

test("clears the cause of every interrupt, then acks it", async () => {
  const { running } = await start();
  for (let interrupt = 0; interrupt < 2; interrupt++) {
    running.setIrq("${irq}", true);
    await running.advance(1);
  }
  expect(running.logs).toHaveLength(2);
});
${hasNoArgs ? `
test("${first.name} is to be written next", async () => {
  const { running } = await start();
  await expect(running.call("${first.name}", {})).rejects.toThrow("not written yet");
});
` : ""}${queueList.map(({ name, request }) => `
test("queue ${name} is to be written next", async () => {
  const { running } = await start();
  await expect(running.submit("${name}", [${Object.keys(request.at).map((_, index) => (index === 0 ? 1 : 0)).join(", ")}])).rejects.toThrow("not written yet");
});
`).join("")}`;
}

/** "hour 0..23, minute 0..59", or "nothing". */
function fieldsText(fields: Fields): string {
  return Object.entries(fields).map(([name, { range }]) => `${name} ${range}`).join(", ") || "nothing";
}

/** A documentation comment: on one line where it has room. */
function comment(text: string, indent: string): string {
  const whole = `${indent}/** ${text} */`;
  return whole.length <= lineLength ? whole : `${indent}/**\n${lines(text, `${indent} * `)}\n${indent} */`;
}

/** Words on as many lines as they need. */
function lines(text: string, first: string, next = first): string {
  const done: string[] = [];
  let line = first;
  let words = 0;
  for (const word of text.split(" ")) {
    if (words > 0 && line.length + 1 + word.length > lineLength) {
      done.push(line);
      line = next;
      words = 0;
    }
    line += words++ === 0 ? word : ` ${word}`;
  }
  return [...done, line].join("\n");
}
