/** Hands what a driver sent to those it is for. */
import { type MessageRecord, RecordKind } from "../api/records.ts";
import type { HostEvents } from "./driver-host.ts";

/** "ready" and "removed" are for the supervisor, the rest for the shadow. */
export function deliver(records: readonly MessageRecord[], events: HostEvents | undefined): void {
  if (records.some((record) => record.kind === RecordKind.ready)) events?.ready();
  const messages = records.filter(({ kind }) => kind !== RecordKind.ready && kind !== RecordKind.removed);
  if (messages.length > 0) events?.records(messages);
  if (records.some((record) => record.kind === RecordKind.removed)) events?.removed();
}
