/** Processors as the native addon knows them. */
import { isAirlockError } from "../api/errors.ts";
import type { Processors } from "../bus/processors.ts";
import { loadAddon } from "./addon.ts";

/** Of the calling thread; undefined without the addon. */
export function ownProcessors(): Processors | undefined {
  try {
    const addon = loadAddon();
    return { current: () => addon.processor(), leave: () => addon.leaveProcessor() };
  } catch (error) {
    if (isAirlockError(error, "AddonMissing")) return undefined;
    throw error;
  }
}
