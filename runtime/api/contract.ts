/** Class contracts: a kind of device, its operations and events, and how each is treated when a driver dies midway. */
import { type Fields, type Struct, type StructValue, struct } from "./layout.ts";

/**
 * What happens to a call whose driver dies:
 * `query` the shadow answers from its log, or sends it again; `idempotent` it is sent again;
 * `config` the last one is logged and replayed before anything else, then answered;
 * `atMostOnce` if the driver had it, the client is told that it may have been executed.
 */
export type Treatment = "query" | "idempotent" | "config" | "atMostOnce";

export interface OperationDefinition<A extends Fields = Fields, R extends Fields = Fields> {
  readonly treatment: Treatment;
  readonly args: A;
  readonly reply: R;
  /** How long a driver may take before it counts as hung on this operation. */
  readonly deadlineMs: number;
}

export interface ClassDefinition {
  /** The class's name in manifests and folders: "rtc". */
  readonly name: string;
  /** Version of this contract; a manifest that names another is refused. */
  readonly version: number;
  readonly operations: Readonly<Record<string, OperationDefinition>>;
  readonly events: Readonly<Record<string, Fields>>;
}

export interface Operation<A = Fields, R = Fields> {
  readonly id: number;
  readonly name: string;
  readonly treatment: Treatment;
  readonly deadlineMs: number;
  readonly args: Struct<A>;
  readonly reply: Struct<R>;
}

export interface EventKind<E = Fields> {
  readonly id: number;
  readonly name: string;
  readonly payload: Struct<E>;
}

/** A class contract with its layouts compiled: what clients, shadows, drivers and validators share. */
export interface ClassContract<D extends ClassDefinition = ClassDefinition> {
  readonly name: string;
  readonly version: number;
  readonly operations: { readonly [K in keyof D["operations"]]: Operation<D["operations"][K]["args"], D["operations"][K]["reply"]> };
  readonly events: { readonly [K in keyof D["events"]]: EventKind<D["events"][K]> };
  /** Operations by their id on the wire (position in the definition). */
  readonly operationList: readonly Operation[];
  /** Events by their id on the wire (position in the definition). */
  readonly eventList: readonly EventKind[];
}

export type OperationName<C extends ClassContract> = keyof C["operations"] & string;
export type EventName<C extends ClassContract> = keyof C["events"] & string;
export type Args<C extends ClassContract, K extends OperationName<C>> =
  C["operations"][K] extends Operation<infer A, infer _R> ? StructValue<A> : never;
export type Reply<C extends ClassContract, K extends OperationName<C>> =
  C["operations"][K] extends Operation<infer _A, infer R> ? StructValue<R> : never;
export type EventPayload<C extends ClassContract, K extends EventName<C>> =
  C["events"][K] extends EventKind<infer E> ? StructValue<E> : never;

/** Compiles a class definition. Ids are positions, so operations and events may be appended, never reordered. */
export function defineClass<const D extends ClassDefinition>(definition: D): ClassContract<D> {
  const operationList = Object.entries(definition.operations).map(([name, operation], id): Operation => ({
    id, name, treatment: operation.treatment, deadlineMs: operation.deadlineMs,
    args: struct(operation.args), reply: struct(operation.reply),
  }));
  const eventList = Object.entries(definition.events).map(([name, fields], id): EventKind => ({ id, name, payload: struct(fields) }));
  return {
    name: definition.name, version: definition.version, operationList, eventList,
    operations: Object.fromEntries(operationList.map((o) => [o.name, o])) as unknown as ClassContract<D>["operations"],
    events: Object.fromEntries(eventList.map((e) => [e.name, e])) as unknown as ClassContract<D>["events"],
  };
}
