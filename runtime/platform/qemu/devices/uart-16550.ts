/** A 16550A as QEMU's isa-serial, its connector a Unix socket. */
import { serialPeerOf } from "../serial-peers.ts";
import { onlyIsaIrq, onlyPortWindow, refusal, type QemuDeviceKind } from "./kind.ts";

const sizeBytes = 8;

const uart16550: QemuDeviceKind = {
  compatible: ["uart-16550", "ns16550a"],
  build(description, names) {
    const window = onlyPortWindow(description, sizeBytes);
    const irq = onlyIsaIrq(description);
    if (irq === undefined) throw refusal(description, "an isa-serial needs an irq");
    return {
      args: [
        "-chardev", `socket,id=${names.id},path=${names.socketPath},server=on,wait=off`,
        "-device", `isa-serial,chardev=${names.id},iobase=0x${window.base.toString(16)},irq=${irq}`,
      ],
      connector: { kind: "serial", peer: serialPeerOf(description) },
    };
  },
};

export default uart16550;
