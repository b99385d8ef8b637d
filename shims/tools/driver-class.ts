/** Tells a driver's class by the subsystem it registers with. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

interface Subsystem {
  /** What people call it. */
  readonly title: string;
  /** The class that speaks for it here; undefined where there is none. */
  readonly className: string | undefined;
  /** Functions of the subsystem that a driver calls to bring its device to it. */
  readonly registers: readonly string[];
}

/** Subsystems in the order in which they decide: a network card may also have a clock or a random number generator. */
const subsystems: readonly Subsystem[] = [
  { title: "network", className: "net", registers: ["register_netdev", "register_netdevice", "devm_register_netdev", "register_candev", "ieee80211_register_hw"] },
  { title: "watchdog", className: "watchdog", registers: ["watchdog_register_device", "devm_watchdog_register_device"] },
  { title: "rtc", className: "rtc", registers: ["__devm_rtc_register_device", "devm_rtc_device_register", "rtc_register_device", "devm_rtc_allocate_device"] },
  { title: "serial", className: "serial", registers: ["uart_add_one_port", "serial8250_register_8250_port"] },
  { title: "block", className: "block", registers: ["device_add_disk"] },
  { title: "hw_random", className: undefined, registers: ["hwrng_register", "devm_hwrng_register"] },
  { title: "character device", className: undefined, registers: ["misc_register", "cdev_add", "__register_chrdev"] },
];

/** What a driver's calls say: the subsystem's title, and the class for it. */
export interface FoundClass {
  readonly title: string;
  readonly className: string | undefined;
}

/** The subsystem a driver registers with; undefined when it is none of those known here. */
export function driverClass(calls: ReadonlySet<string>): FoundClass | undefined {
  const found = subsystems.find(({ registers }) => registers.some((name) => calls.has(name)));
  return found && { title: found.title, className: found.className };
}
