/** Class contracts: a kind of device, its operations and events, and how each is treated when a driver dies midway. */
import { type Fields, type Struct, type StructValue, struct } from "./layout.ts";
import type { WordLayout } from "./words.ts";

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

/**
 * A queue: requests go down and completions come up as batches of fixed-size entries, for traffic that is too much for one
 * message each. What a request carries besides its entry lies in the class's DMA buffers, which the guest never sees.
 */
export interface QueueDefinition<R extends string = string, C extends string = string> {
  readonly request: WordLayout<R>;
  readonly completion: WordLayout<C>;
  /** How long a driver may keep one request; Infinity where requests wait for something outside, as receive buffers do. */
  readonly deadlineMs: number;
  /** Most requests a driver has at once. */
  readonly depth: number;
}

export interface ClassDefinition {
  /** The class's name in manifests and folders: "rtc". */
  readonly name: string;
  /** Version of this contract; a manifest that names another is refused. */
  readonly version: number;
  readonly operations: Readonly<Record<string, OperationDefinition>>;
  readonly events: Readonly<Record<string, Fields>>;
  readonly queues?: Readonly<Record<string, QueueDefinition>>;
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

/** A queue with its id on the wire. */
export interface Queue<R extends string = string, C extends string = string> extends QueueDefinition<R, C> {
  readonly id: number;
  readonly name: string;
}

/** The queues of a definition; without any, a type without properties. */
type QueuesOf<D extends ClassDefinition> = D["queues"] extends Readonly<Record<string, QueueDefinition>> ? D["queues"] : object;

/** A class contract with its layouts compiled: what clients, shadows, drivers and validators share. */
export interface ClassContract<D extends ClassDefinition = ClassDefinition> {
  readonly name: string;
  readonly version: number;
  readonly operations: { readonly [K in keyof D["operations"]]: Operation<D["operations"][K]["args"], D["operations"][K]["reply"]> };
  readonly events: { readonly [K in keyof D["events"]]: EventKind<D["events"][K]> };
  readonly queues: {
    readonly [K in keyof QueuesOf<D>]: QueuesOf<D>[K] extends QueueDefinition<infer R, infer C> ? Queue<R, C> : never;
  };
  /** Operations by their id on the wire (position in the definition). */
  readonly operationList: readonly Operation[];
  /** Events by their id on the wire (position in the definition). */
  readonly eventList: readonly EventKind[];
  /** Queues by their id on the wire (position in the definition). */
  readonly queueList: readonly Queue[];
}

export type OperationName<C extends ClassContract> = keyof C["operations"] & string;
export type EventName<C extends ClassContract> = keyof C["events"] & string;
export type QueueName<C extends ClassContract> = keyof C["queues"] & string;
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
  const queueList = Object.entries(definition.queues ?? {}).map(([name, queue], id): Queue => ({ ...queue, id, name }));
  return {
    name: definition.name, version: definition.version, operationList, eventList, queueList,
    queues: Object.fromEntries(queueList.map((q) => [q.name, q])) as unknown as ClassContract<D>["queues"],
    operations: Object.fromEntries(operationList.map((o) => [o.name, o])) as unknown as ClassContract<D>["operations"],
    events: Object.fromEntries(eventList.map((e) => [e.name, e])) as unknown as ClassContract<D>["events"],
  };
}
