import { describe, expect, test } from "vitest";
import { VirtualClock } from "../api/clock.ts";
import { HostStatus, hostStatusBytes } from "./thread-messages.ts";
import { Watchdog } from "./watchdog.ts";

/** Threads whose CPU time is not known (id 0): limits then go by wall time. */
class Host {
  readonly status = new SharedArrayBuffer(hostStatusBytes);
  readonly hung: number[] = [];
  readonly unwatch: () => void;
  limitMs: number;

  constructor(watchdog: Watchdog, limitMs = 50) {
    this.limitMs = limitMs;
    this.unwatch = watchdog.watch({ status: this.status, hangMs: () => this.limitMs, hung: (afterMs) => this.hung.push(afterMs) });
  }

  /** Begins a turn, or ends the one that runs. */
  toggle(): void {
    Atomics.add(new Int32Array(this.status), HostStatus.turn, 1);
  }
}

function rig(): { clock: VirtualClock; watchdog: Watchdog } {
  const clock = new VirtualClock();
  return { clock, watchdog: new Watchdog(clock) };
}

describe("the watchdog", () => {
  test("reports a turn that does not end, once, near its limit", () => {
    const { clock, watchdog } = rig();
    const host = new Host(watchdog);
    clock.advance(500_000);
    expect(host.hung).toEqual([]);
    host.toggle();
    clock.advance(35_000);
    expect(host.hung).toEqual([]);
    clock.advance(50_000);
    expect(host.hung).toHaveLength(1);
    clock.advance(1_000_000);
    expect(host.hung).toHaveLength(1);
    host.unwatch();
    expect(clock.pending).toBe(0);
  });

  test("does not add turns up: many short ones are no hang", () => {
    const { clock, watchdog } = rig();
    const host = new Host(watchdog);
    for (let turns = 0; turns < 100; turns++) {
      host.toggle();
      clock.advance(30_000);
      host.toggle();
      host.toggle();
      clock.advance(5_000);
      host.toggle();
    }
    expect(host.hung).toEqual([]);
    host.unwatch();
  });

  test("reports nothing of a host that is idle or not watched any more, and looks no longer than there is one", () => {
    const { clock, watchdog } = rig();
    const hosts = [new Host(watchdog), new Host(watchdog)];
    hosts[0]!.toggle();
    hosts[0]!.unwatch();
    clock.advance(1_000_000);
    expect(hosts.map(({ hung }) => hung)).toEqual([[], []]);
    hosts[1]!.unwatch();
    hosts[1]!.unwatch();
    expect(clock.pending).toBe(0);
  });

  test("tells hosts apart, and a limit that is raised counts", () => {
    const { clock, watchdog } = rig();
    const [short, long] = [new Host(watchdog, 50), new Host(watchdog, 500)];
    short.toggle();
    long.toggle();
    clock.advance(100_000);
    expect([short.hung.length, long.hung.length]).toEqual([1, 0]);
    long.limitMs = 5_000;
    clock.advance(1_000_000);
    expect(long.hung).toEqual([]);
    long.unwatch();
  });

  test("accuses nobody of time in which it did not run itself", () => {
    const clock = new VirtualClock();
    let lateMicros = 0;
    const watchdog = new Watchdog({ nowMicros: () => clock.nowMicros() + lateMicros, setTimer: (delay, callback) => clock.setTimer(delay, callback) });
    const host = new Host(watchdog);
    host.toggle();
    clock.advance(20_000);
    lateMicros = 10_000_000;
    clock.advance(10_000);
    expect(host.hung).toEqual([]);
    host.unwatch();
  });
});
