/** QEMU's NVMe controller with one namespace, its blocks in memory or in a file. QEMU: docs/system/devices/nvme.rst. */
import type { PciIdentity } from "../../../bus/pci.ts";
import { type QemuDeviceKind, numberOption, optionValue, pathOption, refusal, textOption } from "./kind.ts";

/** Room for the exercises of an example; memory is taken where something is written. */
const defaultBytes = 64 * 2 ** 20;
/** What a number of bytes in a machine file may sensibly ask for: 16 TiB. */
const maxBytes = 2 ** 44;
const defaultBlockBytes = 512;

/** Pairs of I/O queues besides the admin queue, each with a vector of its own. QEMU would offer 64, which nobody here uses. */
const queuePairs = 16;

/** 1b36:0010 as QEMU has it since 6.0; registers and doorbells take 8 KiB of BAR 0, then come the MSI-X table and its pending bits. */
const identity: PciIdentity = {
  vendorId: 0x1b36, deviceId: 0x0010, classCode: 0x010802, revision: 2, subsystemVendorId: 0x1af4, subsystemId: 0x1100,
  bars: [{ index: 0, kind: "mmio", sizeBytes: 0x4000, is64Bit: true }],
  interruptPin: 1,
  msix: { vectors: queuePairs + 1, bar: 0, tableOffset: 0x2000, pendingOffset: 0x3000 },
  functionReset: true,
};

const nvme: QemuDeviceKind = {
  compatible: ["nvme"],
  identity: () => identity,
  build(description, names) {
    const blockBytes = numberOption(description, "blockBytes", defaultBlockBytes, 512, 4_096);
    if (blockBytes !== 512 && blockBytes !== 4_096) throw refusal(description, `option blockBytes is ${blockBytes}, not 512 or 4096`, "blockBytes");
    const hasSize = description.options["sizeBytes"] !== undefined;
    const sizeBytes = numberOption(description, "sizeBytes", defaultBytes, blockBytes, maxBytes);
    if (sizeBytes % blockBytes !== 0) throw refusal(description, `option sizeBytes is ${sizeBytes}, not a multiple of ${blockBytes}`, "sizeBytes");
    const serial = textOption(description, "serial", /^[\w.-]{1,20}$/, "1 to 20 letters, digits, dots and dashes") ?? names.id;
    const file = pathOption(description, "file", names.directory);
    return {
      args: [
        // Writes beyond what fits are told as errors, not waited for; what is trimmed is given back.
        "-blockdev", `driver=file,node-name=${names.id}-file,filename=${file === undefined ? names.memoryFile(sizeBytes) : optionValue(file)},discard=unmap`,
        "-blockdev", `driver=raw,node-name=${names.id}-disk,file=${names.id}-file,discard=unmap`,
        "-device", [
          `nvme,id=${names.id},addr=${names.pciSlot},drive=${names.id}-disk,serial=${serial}`, `logical_block_size=${blockBytes},physical_block_size=${blockBytes}`,
          `max_ioqpairs=${queuePairs},msix_qsize=${queuePairs + 1}`,
        ].join(","),
      ],
      ...(file === undefined ? {} : { files: [{ device: description.name, path: file, sizeBytes: hasSize ? sizeBytes : undefined }] }),
    };
  },
};

export default nvme;
