/** From descriptions to simulated devices: the model for each, and what is plugged into its connector. */
import { AirlockError } from "../../api/errors.ts";
import type { DeviceDescription, ModelDefinition } from "../../bus/device.ts";
import { findModel } from "../../models/find-model.ts";
import { openNetworkPeer, openSerialPeer } from "./peers/find-peer.ts";
import { nothingOnNetwork, nothingOnSerial } from "./peers/none.ts";
import type { SimDevice } from "./sim-backend.ts";

/** @throws AirlockError NotFound when there is no such model or peer; the message names the device. */
export function findSimDevices(descriptions: readonly DeviceDescription[]): Promise<SimDevice[]> {
  return Promise.all(descriptions.map(async (description): Promise<SimDevice> => {
    try {
      const model = await findModel(description.compatible);
      const { options } = description;
      const peer = String(options["peer"] ?? "none");
      return isNetworkCard(model)
        ? { description, model, serial: nothingOnSerial, network: await openNetworkPeer(peer, options) }
        : { description, model, serial: await openSerialPeer(peer, options), network: nothingOnNetwork };
    } catch (error) {
      if (!(error instanceof AirlockError)) throw error;
      throw new AirlockError(error.code, `device "${description.name}": ${error.message}`, { ...error.fields, device: description.name }, { cause: error });
    }
  }));
}

/** Base class 2 of PCI is network controllers (PCI Local Bus Specification 3.0, appendix D). */
function isNetworkCard({ pci }: ModelDefinition): boolean {
  return pci !== undefined && pci.classCode >> 16 === 2;
}
