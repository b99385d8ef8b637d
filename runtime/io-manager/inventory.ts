/** The platform's devices as the I/O manager sees them: by name, by what they are compatible with, without overlaps. */
import type { DeviceDescription, DeviceWindow, WindowKind } from "../bus/device.ts";
import type { Problems, Source } from "../machine/source.ts";

/** PCI configuration access on a PC (PCI 3.0, 3.2.2.3.2): whoever has it has every PCI device. */
const pciConfigBase = 0xcf8;
const pciConfigBytes = 8;

/** Whether part of a window is the PCI configuration ports, which nobody is granted. */
export function touchesPciConfig(window: Pick<DeviceWindow, "kind" | "base" | "sizeBytes">): boolean {
  return window.kind === "port" && window.base < pciConfigBase + pciConfigBytes && pciConfigBase < window.base + window.sizeBytes;
}

/** Devices that have one of these names, in the platform's order. */
export function devicesCompatibleWith(devices: readonly DeviceDescription[], names: readonly string[]): DeviceDescription[] {
  return devices.filter((device) => device.compatible.some((one) => names.includes(one)));
}

/** Complains about windows that share addresses: a grant of one would be a grant of the other. */
export function checkOverlaps(devices: readonly DeviceDescription[], source: Source, problems: Problems): void {
  for (const kind of ["port", "mmio"] as const) {
    const windows = devices
      .flatMap((device) => Object.entries(device.windows).map(([name, window]) => ({ device: device.name, name, window })))
      .filter(({ window }) => window.kind === kind)
      .sort((left, right) => left.window.base - right.window.base);
    let reaching = windows[0];
    for (const next of windows.slice(1)) {
      const end = reaching!.window.base + reaching!.window.sizeBytes;
      if (next.window.base < end) {
        const at = source.locate(["devices", next.device, kind === "port" ? "ports" : "mmio", next.name], "key");
        problems.add(
          source.file,
          at,
          `${range(next)} of device "${next.device}" overlaps ${range(reaching!)} of device "${reaching!.device}"; correct base or size of one of them`,
        );
      }
      if (next.window.base + next.window.sizeBytes > end) reaching = next;
    }
  }
}

/** A window as a message shows it. */
export function rangeText(kind: WindowKind, base: number, sizeBytes: number): string {
  return `${kind === "port" ? "ports" : "memory"} 0x${base.toString(16)} (${sizeBytes} bytes)`;
}

function range({ name, window }: { name: string; window: DeviceWindow }): string {
  return `"${name}", ${rangeText(window.kind, window.base, window.sizeBytes)},`;
}
