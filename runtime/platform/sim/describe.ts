/** Completes the descriptions of simulated devices before any hardware runs: what a model says of itself on the PCI bus. */
import { AirlockError } from "../../api/errors.ts";
import { describeFunction } from "../../bus/describe-pci.ts";
import type { DeviceDescription, ModelDefinition } from "../../bus/device.ts";
import { dmaPageBytes } from "../../bus/iommu.ts";
import { findModel } from "../../models/find-model.ts";

/** Wires of the simulated machine's PCI slots: four, taken in turn by device number, as a PC does. */
const firstIntxLine = 16;
const intxLines = 4;

/** Where BARs are, one after the other: a PC's hole for PCI memory, and its ports above the legacy ones. */
const firstAddress = { mmio: 0xe000_0000, port: 0xc000 } as const;

/**
 * @throws AirlockError NotFound for a device no model is compatible with, or that is described for the wrong kind of place;
 *   its `device` field names it
 */
export async function describeDevices(devices: readonly DeviceDescription[]): Promise<readonly DeviceDescription[]> {
  const next = { ...firstAddress } as { mmio: number; port: number };
  const described: DeviceDescription[] = [];
  let index = 0;
  for (const device of devices) {
    const { pci: identity } = await modelOf(device);
    if (identity === undefined || device.pci === undefined) {
      if (identity !== undefined) throw misplaced(device, 'is a PCI device; write pci: { address: "00:04.0" }');
      if (device.pci !== undefined) throw misplaced(device, "is no PCI device; give it ports or mmio instead of pci");
      described.push(device);
      continue;
    }
    const slot = Number.parseInt(device.pci.address.slice(3, 5), 16);
    described.push(describeFunction(device, identity, {
      index: index++, intxLine: firstIntxLine + (slot % intxLines),
      base: ({ kind, sizeBytes }) => {
        const size = Math.max(sizeBytes, kind === "mmio" ? dmaPageBytes : 1);
        const base = Math.ceil(next[kind] / size) * size;
        next[kind] = base + size;
        return base;
      },
    }));
  }
  return described;
}

async function modelOf(device: DeviceDescription): Promise<ModelDefinition> {
  try {
    return await findModel(device.compatible);
  } catch (error) {
    if (!(error instanceof AirlockError)) throw error;
    throw new AirlockError(error.code, `device "${device.name}": ${error.message}`, { ...error.fields, device: device.name }, { cause: error });
  }
}

function misplaced(device: DeviceDescription, what: string): AirlockError {
  return new AirlockError("NotFound", `device "${device.name}" ${what}`, { device: device.name });
}
