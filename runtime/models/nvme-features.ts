/** Features of an NVMe controller: their values, and what Set and Get Features check (NVMe 1.4, 5.15 and 5.21). */
import { Feature, Status, Word, allNamespaces, ioQueuePairs, temperatureKelvin, vectorCount } from "./nvme-registers.ts";

/** Temperature thresholds at power-on: one above all, one below (5.21.1.4). */
const overThreshold = 343;
const underThreshold = 0;
/** CDW11 of temperature threshold: kelvin, which sensor (0 composite, 15 all), over 0 or under 1. */
const sensorAll = 15;

/** Select field of Get Features (5.15.1). */
const Select = { current: 0, initial: 1, saved: 2, capabilities: 3 } as const;
/** Capabilities of a feature: specific to a namespace, changeable. */
const [perNamespace, changeable] = [2, 4];

/** Commands a queue may have fetched in its turn: no limit, until a driver sets one (5.21.1.1). */
const unlimitedBurst = 7;

/** Both counts of number of queues, less one each. */
const allQueues = ((ioQueuePairs - 1) << 16) | (ioQueuePairs - 1);

export interface FeatureHost {
  readonly namespaceCount: number;
  /** Whether I/O queues exist: their number is fixed then. */
  queuesInUse(): boolean;
  readonly hasCache: boolean;
  /** Turns every namespace's cache on or off. False: it could not be written back. */
  enableCache(on: boolean): boolean;
}

/** Values since the last controller reset; none is saved. */
export class NvmeFeatures {
  readonly #host: FeatureHost;
  /** By feature, for those that are one word and nothing else. */
  readonly #words = new Map<number, number>();
  readonly #errorRecovery: Uint16Array;
  readonly #vectors = new Uint8Array(vectorCount);
  #overKelvin = overThreshold;
  #underKelvin = underThreshold;
  #cacheOn: boolean;
  /** What the last command returns in DW0 of its completion. */
  result = 0;

  constructor(host: FeatureHost) {
    this.#host = host;
    this.#errorRecovery = new Uint16Array(host.namespaceCount);
    this.#cacheOn = host.hasCache;
    this.reset();
  }

  /** A controller reset (7.3.2): everything is as at power-on. */
  reset(): void {
    this.#words.clear();
    this.#words.set(Feature.arbitration, unlimitedBurst);
    for (const feature of [Feature.powerManagement, Feature.interruptCoalescing, Feature.writeAtomicity, Feature.asyncEvents]) this.#words.set(feature, 0);
    this.#words.set(Feature.numberOfQueues, allQueues);
    this.#errorRecovery.fill(0);
    this.#vectors.fill(0);
    this.#overKelvin = overThreshold;
    this.#underKelvin = underThreshold;
    if (this.#host.hasCache && !this.#cacheOn) this.#cacheOn = this.#host.enableCache(true);
  }

  /** Queues of each kind that a driver may make. */
  get grantedQueues(): number {
    return (this.#words.get(Feature.numberOfQueues)! & 0xffff) + 1;
  }

  /** Most commands of a queue in its turn. */
  get burst(): number {
    const shift = this.#words.get(Feature.arbitration)! & 7;
    return shift === unlimitedBurst ? Infinity : 1 << shift;
  }

  get cacheOn(): boolean {
    return this.#cacheOn;
  }

  /** Critical warnings that are to be reported as events (5.21.1.11). */
  get reportedWarnings(): number {
    return this.#words.get(Feature.asyncEvents)! & 0xff;
  }

  /** Whether the temperature is at or beyond a threshold. */
  get temperatureBeyond(): boolean {
    return temperatureKelvin >= this.#overKelvin || temperatureKelvin <= this.#underKelvin;
  }

  get(command: Uint32Array): number {
    const word = command[Word.cdw10]!;
    const select = (word >>> 8) & 7;
    const feature = word & 0xff;
    const argument = command[Word.cdw11]!;
    const namespace = command[Word.namespace]!;
    this.result = 0;
    if (select > Select.capabilities || !this.#knows(feature)) return Status.invalidField;
    if (feature === Feature.errorRecovery && !this.#isNamespace(namespace)) return Status.invalidNamespace;
    if (feature === Feature.interruptVector && (argument & 0xffff) >= vectorCount) return Status.invalidField;
    if (feature === Feature.temperatureThreshold && !knownSensor(argument)) return Status.invalidField;
    if (select === Select.capabilities) this.result = changeable | (feature === Feature.errorRecovery ? perNamespace : 0);
    else this.result = select === Select.current ? this.#value(feature, argument, namespace) : initialValue(feature, argument);
    return Status.success;
  }

  set(command: Uint32Array): number {
    const word = command[Word.cdw10]!;
    const feature = word & 0xff;
    const argument = command[Word.cdw11]!;
    const namespace = command[Word.namespace]!;
    this.result = 0;
    if (!this.#knows(feature)) return Status.invalidField;
    if (word >>> 31 !== 0) return Status.featureNotSaveable;
    if (feature === Feature.errorRecovery) return this.#setErrorRecovery(argument, namespace);
    if (namespace !== 0 && namespace !== allNamespaces) {
      return this.#isNamespace(namespace) ? Status.featureNotPerNamespace : Status.invalidNamespace;
    }
    switch (feature) {
      case Feature.numberOfQueues: return this.#setNumberOfQueues(argument);
      case Feature.temperatureThreshold: return this.#setThreshold(argument);
      case Feature.volatileWriteCache: return this.#setCache((argument & 1) !== 0);
      case Feature.interruptVector: return this.#setVector(argument);
      // There is one power state, number 0.
      case Feature.powerManagement: if ((argument & 0x1f) !== 0) return Status.invalidField;
    }
    this.#words.set(feature, argument);
    return Status.success;
  }

  #knows(feature: number): boolean {
    switch (feature) {
      case Feature.temperatureThreshold: case Feature.errorRecovery: case Feature.interruptVector: return true;
      // A controller without a cache does not have the feature (5.21.1.6).
      case Feature.volatileWriteCache: return this.#host.hasCache;
      default: return this.#words.has(feature);
    }
  }

  #isNamespace(namespace: number): boolean {
    return namespace >= 1 && namespace <= this.#host.namespaceCount;
  }

  #value(feature: number, argument: number, namespace: number): number {
    switch (feature) {
      case Feature.errorRecovery: return this.#errorRecovery[namespace - 1]!;
      case Feature.interruptVector: return (argument & 0xffff) | (this.#vectors[argument & 0xffff]! << 16);
      case Feature.temperatureThreshold: return isUnder(argument) ? this.#underKelvin : this.#overKelvin;
      case Feature.volatileWriteCache: return this.#cacheOn ? 1 : 0;
      default: return this.#words.get(feature)!;
    }
  }

  /** CDW11: time limit in 100 ms; whether deallocated blocks read as errors, which no namespace here supports (5.21.1.5). */
  #setErrorRecovery(argument: number, namespace: number): number {
    if (namespace !== allNamespaces && !this.#isNamespace(namespace)) return Status.invalidNamespace;
    if ((argument & 0x1_0000) !== 0) return Status.invalidField;
    if (namespace === allNamespaces) this.#errorRecovery.fill(argument & 0xffff);
    else this.#errorRecovery[namespace - 1] = argument & 0xffff;
    return Status.success;
  }

  /** What is asked for beyond what there is is not an error: the answer says what is granted (5.21.1.7). */
  #setNumberOfQueues(argument: number): number {
    const submission = argument & 0xffff;
    const completion = argument >>> 16;
    if (submission === 0xffff || completion === 0xffff) return Status.invalidField;
    if (this.#host.queuesInUse()) return Status.commandSequence;
    // Granted are as many of one kind as of the other: more than the smaller number would be of no use.
    const granted = Math.min(Math.max(submission, completion), ioQueuePairs - 1);
    this.result = (granted << 16) | granted;
    this.#words.set(Feature.numberOfQueues, this.result);
    return Status.success;
  }

  #setThreshold(argument: number): number {
    if (!knownSensor(argument)) return Status.invalidField;
    if (isUnder(argument)) this.#underKelvin = argument & 0xffff;
    else this.#overKelvin = argument & 0xffff;
    return Status.success;
  }

  #setCache(on: boolean): number {
    if (!this.#host.enableCache(on)) return Status.writeFault;
    this.#cacheOn = on;
    return Status.success;
  }

  /** CDW11: vector, and whether it is exempt from coalescing (5.21.1.9). */
  #setVector(argument: number): number {
    if ((argument & 0xffff) >= vectorCount) return Status.invalidField;
    this.#vectors[argument & 0xffff] = (argument >>> 16) & 1;
    return Status.success;
  }
}

function initialValue(feature: number, argument: number): number {
  switch (feature) {
    case Feature.arbitration: return unlimitedBurst;
    case Feature.numberOfQueues: return allQueues;
    case Feature.volatileWriteCache: return 1;
    case Feature.interruptVector: return argument & 0xffff;
    case Feature.temperatureThreshold: return isUnder(argument) ? underThreshold : overThreshold;
    default: return 0;
  }
}

/** The composite temperature is the only sensor. */
function knownSensor(argument: number): boolean {
  const sensor = (argument >>> 16) & 15;
  return ((argument >>> 20) & 3) <= 1 && (sensor === 0 || sensor === sensorAll);
}

function isUnder(argument: number): boolean {
  return ((argument >>> 20) & 3) === 1;
}
