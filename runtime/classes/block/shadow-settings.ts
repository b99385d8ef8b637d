/** The `shadow` section of a block driver in the machine file. */
import { AirlockError } from "../../api/errors.ts";
import type { ShadowEnvironment } from "../shadow.ts";

export interface BlockShadowSettings {
  /** Acknowledged writes that no flush has covered yet are kept, and made again after a restart. */
  readonly journal: boolean;
  /** What of them is kept at most. At half the shadow flushes by itself; what does not fit is flushed before it is acknowledged. */
  readonly journalBytes: number;
  /** What is read is compared with what was written. */
  readonly checksums: boolean;
}

interface Setting<T> {
  readonly fallback: T;
  /** Why the value is no good; undefined when it is. */
  readonly check: (value: unknown) => string | undefined;
}

/** Less holds not even one page of data. */
const leastJournalBytes = 8_192;
/** More would take a slow disk longer to make again than a driver is given to come up: 5 s. */
const mostJournalBytes = 67_108_864;

const flag = (value: unknown): string | undefined => (typeof value === "boolean" ? undefined : "write true or false");

const known: { readonly [K in keyof BlockShadowSettings]: Setting<BlockShadowSettings[K]> } = {
  journal: { fallback: true, check: flag },
  journalBytes: {
    fallback: 16_777_216,
    check: (value) => (Number.isInteger(value) && Number(value) >= leastJournalBytes && Number(value) <= mostJournalBytes
      ? undefined : `write a whole number of bytes from ${leastJournalBytes} to ${mostJournalBytes}`),
  },
  checksums: { fallback: false, check: flag },
};

/** @throws AirlockError InvalidArgument for an unknown setting or a value it cannot have */
export function readSettings({ driver, settings = {} }: Pick<ShadowEnvironment, "driver" | "settings">): BlockShadowSettings {
  for (const [name, value] of Object.entries(settings)) {
    const setting = Object.hasOwn(known, name) ? known[name as keyof BlockShadowSettings] : undefined;
    const reason = setting === undefined ? `class block has only ${Object.keys(known).join(", ")}` : setting.check(value);
    if (reason !== undefined) throw new AirlockError("InvalidArgument", `${driver}: shadow setting "${name}": ${reason}`, { driver, setting: name });
  }
  const { journal, journalBytes, checksums } = settings as Partial<BlockShadowSettings>;
  return {
    journal: journal ?? known.journal.fallback, journalBytes: journalBytes ?? known.journalBytes.fallback, checksums: checksums ?? known.checksums.fallback,
  };
}
