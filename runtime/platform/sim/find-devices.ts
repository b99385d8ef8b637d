/** From descriptions to simulated devices: the model for each, and what is plugged into its connector. */
import type { DeviceDescription } from "../../bus/device.ts";
import { AirlockError } from "../../api/errors.ts";
import { findModel } from "../../models/find-model.ts";
import { findPeer } from "./peers/find-peer.ts";
import type { SimDevice } from "./sim-backend.ts";

/** @throws AirlockError NotFound when there is no such model or peer; the message names the device. */
export function findSimDevices(descriptions: readonly DeviceDescription[]): Promise<SimDevice[]> {
  return Promise.all(descriptions.map(async (description) => {
    try {
      const model = await findModel(description.compatible);
      const peer = await findPeer(String(description.options.peer ?? "none"));
      return { description, model, peer: peer.create(description.options) };
    } catch (error) {
      if (!(error instanceof AirlockError)) throw error;
      throw new AirlockError(error.code, `device "${description.name}": ${error.message}`, { ...error.fields, device: description.name }, { cause: error });
    }
  }));
}
