/** The driver on a fake register window: no machine needed. */
import { startDriver } from "airlock/driver-testing";
import { expect, test } from "vitest";
import driver from "./driver.ts";
import { Register, alarm, data, hours24, index } from "./registers.ts";

/** A chip that holds still: 64 bytes behind an index and a data register, and an interrupt pin that reading C releases. */
function fakeChip() {
  const bytes = new Uint8Array(64);
  let selected = 0;
  const chip = {
    bytes,
    pin: (_asserted: boolean): void => undefined,
    read(offset: number): number {
      const value = offset === data ? bytes[selected]! : 0xff;
      if (offset === data && selected === Register.c) {
        bytes[Register.c] = 0;
        chip.pin(false);
      }
      return value;
    },
    write(offset: number, _width: number, value: number): void {
      if (offset === index) selected = value & 0x3f;
      else bytes[selected] = value;
    },
  };
  return chip;
}

async function start() {
  const chip = fakeChip();
  const running = await startDriver(driver, { windows: { cmos: { sizeBytes: 2, space: chip } }, irqs: ["tick"] });
  chip.pin = (asserted) => running.setIrq("tick", asserted);
  return { chip, running };
}

test("sets the time in BCD and reads it back", async () => {
  const { chip, running } = await start();
  const time = { year: 2026, month: 11, day: 20, hour: 22, minute: 59, second: 58 };
  await running.call("setTime", time);
  expect(chip.bytes[Register.minutes]).toBe(0x59);
  expect(await running.call("readTime", {})).toEqual(time);
});

test("tells of the alarm and acks the interrupt", async () => {
  const { chip, running } = await start();
  await running.call("setAlarm", { hour: 6, minute: 30, second: 0 });
  for (let day = 0; day < 2; day++) {
    chip.bytes[Register.c] = alarm;
    chip.pin(true);
    await running.advance(1);
    expect(running.takeEvents()).toEqual([{ name: "alarm", payload: {} }]);
  }
});

test("takes over a chip whose last driver died while it set the time", async () => {
  const chip = fakeChip();
  chip.bytes[Register.b] = 0x80 | alarm;
  await startDriver(driver, { windows: { cmos: { sizeBytes: 2, space: chip } }, irqs: ["tick"] });
  expect(chip.bytes[Register.b]).toBe(hours24);
});
