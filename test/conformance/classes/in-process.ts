/** The least machine there is: a simulated chip, a driver and its shadow in one thread under a virtual clock. */
import type { DriverDefinition } from "../../../runtime/api/driver.ts";
import { RecordKind } from "../../../runtime/api/records.ts";
import { type TestDriver, type TestWindow, startDriver } from "../../../runtime/api/testing.ts";
import type { ClassContract } from "../../../runtime/api/contract.ts";
import type { CreateShadow, DriverPort, Shadow } from "../../../runtime/classes/shadow.ts";
import type { ModelDefinition, SerialPeer } from "../../../runtime/bus/device.ts";
import { TestEnvironment, settle } from "../../fixtures/driver-port.ts";
import type { ClassBench } from "./bench.ts";
import { levelPin, modelEnvironment } from "../../fixtures/model-environment.ts";

export interface InProcessParts<S extends Shadow, Client> {
  readonly model: ModelDefinition;
  /** Bytes and access widths of each window, by name. */
  readonly windows: Readonly<Record<string, Pick<TestWindow, "sizeBytes" | "widths">>>;
  readonly irq?: string;
  readonly peer?: SerialPeer;
  readonly driver: DriverDefinition;
  readonly createShadow: CreateShadow<S>;
  readonly openClient: (shadow: S) => Client;
}

/** Brings the parts up. A crash here is a driver that is simply never heard again, after its device was made quiet by the next one. */
export async function bringUp<S extends Shadow, Client>(parts: InProcessParts<S, Client>): Promise<ClassBench<Client>> {
  const environment = new TestEnvironment();
  const { clock } = environment;
  const shadow = parts.createShadow(environment);
  let generation = 0;
  let level = false;
  let driver: TestDriver<ClassContract> | undefined;
  const live = parts.model.create(
    { name: "device", compatible: parts.model.compatible, windows: {}, irqs: parts.irq === undefined ? {} : { [parts.irq]: 1 }, options: {} },
    modelEnvironment({
      clock, epochMs: Date.UTC(2026, 10, 20, 12, 0, 0, 300),
      irq: (name) => levelPin((asserted) => { level = asserted; driver?.setIrq(name, asserted); }), requestReset: () => shadow.resetRequested?.(), ...(parts.peer && { serial: parts.peer }),
    }),
  );
  const pump = (): void => {
    for (const { name, payload } of driver?.takeEvents() ?? []) {
      const event = shadow.contract.eventList.find((kind) => kind.name === name)!;
      shadow.receive({ kind: RecordKind.event, id: event.id, tag: 0, payload: event.payload.encode(payload) });
    }
  };
  const advance = async (ms: number): Promise<void> => {
    const end = clock.nowMicros() + ms * 1000;
    do {
      await settle();
      pump();
      await settle();
    } while (clock.step(end));
    clock.advance(end - clock.nowMicros());
    await settle();
    pump();
  };
  const start = async (): Promise<void> => {
    const mine = ++generation;
    const windows = Object.fromEntries(Object.entries(parts.windows).map(([name, window]) => [name, { ...window, space: live.spaces[name]! }]));
    const running = await startDriver(parts.driver, { clock, windows, irqs: parts.irq === undefined ? [] : [parts.irq] });
    driver = running;
    if (parts.irq !== undefined) running.setIrq(parts.irq, level);
    const port: DriverPort = {
      generation: BigInt(mine),
      send: (_kind, id, tag, payload) => {
        const operation = shadow.contract.operationList[id]!;
        const args = operation.args.decode(payload);
        if (!args.ok) throw new Error(args.reason);
        running.call(operation.name, args.value).then(
          (value) => {
            pump();
            return mine === generation ? shadow.receive({ kind: RecordKind.reply, id, tag, payload: operation.reply.encode(value) }) : undefined;
          },
          // A crashed generation's calls end here; what a live one throws is a failed test.
          (error: unknown) => { if (mine === generation) throw error; },
        );
        return true;
      },
    };
    await shadow.attach(port);
  };
  await start();
  return {
    client: parts.openClient(shadow), advance,
    crash: async () => {
      generation++;
      driver = undefined;
      shadow.detach();
      await settle();
      await start();
      await settle();
    },
    close: async () => {
      generation++;
      shadow.close();
      await settle();
    },
  };
}
