import { expect, test } from "vitest";
import { MemoryVolume } from "../../../test/fixtures/memory-volume.ts";
import { VirtualClock } from "../../api/clock.ts";
import { AirlockError } from "../../api/errors.ts";
import type { Volume } from "../../classes/block/volume.ts";
import { VolumeLink } from "./volume-link.ts";

const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(() => setImmediate(resolve)); });

async function lab(open: (count: number) => Promise<Volume>) {
  const clock = new VirtualClock();
  const log: string[] = [];
  const it = { clock, log, opened: 0, replaced: 0, link: undefined as unknown as VolumeLink };
  const note = (text: string): void => void log.push(text);
  const log4 = { debug: note, info: note, warn: note, error: note };
  it.link = await VolumeLink.open({ clock, open: () => open(it.opened++), log: log4 }, () => { it.replaced++; });
  await turn();
  return it;
}

const held = (): Promise<never> => Promise.reject(new AirlockError("DriverUnavailable", "the driver is held"));
const closedError = new AirlockError("Closed", "the machine is shutting down");

test("offers the volume once it says what it is, and closes it", async () => {
  const volume = new MemoryVolume();
  const it = await lab(() => Promise.resolve(volume));
  expect(it.link.current?.volume).toBe(volume);
  expect((await it.link.ready(1))?.info.blockBytes).toBe(512);
  await it.link.close();
  await it.link.close();
  expect([volume.closed, it.link.current, await it.link.ended, it.clock.pending]).toEqual([true, undefined, undefined, 0]);
});

test("a driver that is held is waited for, and logged once", async () => {
  const volume = new MemoryVolume();
  const it = await lab((count) => (count < 4 ? held() : Promise.resolve(volume)));
  const ready = it.link.ready(60_000_000);
  const impatient = it.link.ready(700_000);
  for (let step = 0; step < 4; step++) {
    it.clock.advance(500_000);
    await turn();
  }
  expect([await impatient, (await ready)?.volume]).toEqual([undefined, volume]);
  expect(it.log).toEqual([expect.stringContaining("the driver is held"), "the volume is back"]);
  await it.link.close();
  expect(it.clock.pending).toBe(0);
});

test("a volume that does not say yet what it is, is asked again and not opened again", async () => {
  const volume = new MemoryVolume();
  const said = volume.info.bind(volume);
  let asked = 0;
  volume.info = () => (asked++ < 2 ? held() : said());
  const it = await lab(() => Promise.resolve(volume));
  for (let step = 0; step < 3; step++) {
    it.clock.advance(500_000);
    await turn();
  }
  expect([it.link.current?.volume, it.opened, volume.closed]).toEqual([volume, 1, false]);
  await it.link.close();
});

test("calls that fail with DriverUnavailable keep the volume, Closed gets another", async () => {
  const volumes = [new MemoryVolume(), new MemoryVolume(), new MemoryVolume({ sizeBytes: 512 })];
  const it = await lab((count) => Promise.resolve(volumes[count]!));
  const first = it.link.current!;
  it.link.failed(first, new AirlockError("DriverUnavailable", "held"));
  expect(it.link.current).toBe(first);
  it.link.failed(first, closedError);
  await turn();
  expect([it.link.current, volumes[0]!.closed]).toEqual([undefined, true]);
  it.clock.advance(500_000);
  await turn();
  expect([it.link.current?.volume, it.replaced]).toEqual([volumes[1], 0]);
  it.link.failed(first, closedError);
  expect(it.link.current?.volume).toBe(volumes[1]);
  it.link.failed(it.link.current!, closedError);
  await turn();
  it.clock.advance(500_000);
  await turn();
  // The third is a disk of another size: whoever knows the second must look again.
  expect([it.link.current?.volume, it.replaced]).toEqual([volumes[2], 1]);
  await it.link.close();
});

test("ends with the machine", async () => {
  const volume = new MemoryVolume();
  const it = await lab((count) => (count === 0 ? Promise.resolve(volume) : Promise.reject(closedError)));
  it.link.failed(it.link.current!, closedError);
  await turn();
  it.clock.advance(500_000);
  expect(await it.link.ended).toBe(closedError);
  expect(await it.link.ready(1_000_000)).toBeUndefined();
  await it.link.close();
  const environment = { clock: it.clock, open: () => Promise.reject(closedError), log: undefined as never };
  await expect(VolumeLink.open(environment, () => undefined)).rejects.toBe(closedError);
});

test("closing while a driver does not answer what its device is", async () => {
  const volume = new MemoryVolume();
  let fail: (error: Error) => void = () => undefined;
  volume.info = () => new Promise((_, reject) => { fail = reject; });
  volume.close = () => fail(closedError);
  const it = await lab(() => Promise.resolve(volume));
  const ready = it.link.ready(10_000_000);
  await it.link.close();
  expect([await ready, await it.link.ended, it.clock.pending]).toEqual([undefined, undefined, 0]);
});
