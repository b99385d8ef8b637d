/** The `shadow` section of a net driver in the machine file. */
import { AirlockError } from "../../api/errors.ts";
import type { ShadowEnvironment } from "../shadow.ts";

export interface NetShadowSettings {
  /** Frames a driver died with are given to the next one: they may be on the wire twice. */
  readonly resend: boolean;
  /** How long a recovery may take before clients see the carrier go. */
  readonly carrierLossMs: number;
  /** Largest MTU a client may ask for: it decides how large the buffers are, and so how many there are. */
  readonly maxMtu: number;
}

interface Setting<T> {
  readonly fallback: T;
  /** Why the value is no good; undefined when it is. */
  readonly check: (value: unknown) => string | undefined;
}

const wholeNumber = (min: number, max: number) => (value: unknown): string | undefined =>
  (Number.isInteger(value) && Number(value) >= min && Number(value) <= max ? undefined : `write a whole number from ${min} to ${max}`);

const known: { readonly [K in keyof NetShadowSettings]: Setting<NetShadowSettings[K]> } = {
  resend: { fallback: true, check: (value) => (typeof value === "boolean" ? undefined : "write true or false") },
  // A minute: whoever wants the carrier to stay longer wants it never to go.
  carrierLossMs: { fallback: 500, check: wholeNumber(0, 60_000) },
  maxMtu: { fallback: 1_500, check: wholeNumber(68, 9_216) },
};

/** @throws AirlockError InvalidArgument for an unknown setting or a value it cannot have */
export function readSettings({ driver, settings = {} }: Pick<ShadowEnvironment, "driver" | "settings">): NetShadowSettings {
  for (const [name, value] of Object.entries(settings)) {
    const setting = Object.hasOwn(known, name) ? known[name as keyof NetShadowSettings] : undefined;
    const reason = setting === undefined ? `class net has only ${Object.keys(known).join(", ")}` : setting.check(value);
    if (reason !== undefined) throw new AirlockError("InvalidArgument", `${driver}: shadow setting "${name}": ${reason}`, { driver, setting: name });
  }
  return Object.fromEntries(Object.entries(known).map(([name, { fallback }]) => [name, settings[name] ?? fallback])) as unknown as NetShadowSettings;
}
