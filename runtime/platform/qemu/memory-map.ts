/** Where things are in the RAM of a QEMU machine with PCI devices. Offsets in its file are guest-physical addresses. */

/** All of it is below the hole for PCI, so that an address is an offset. Pages come when they are touched. */
export const machineRamBytes = 256 * 2 ** 20;

/** Below are firmware and the VGA hole, where memory is not plain RAM. */
export const tablesOffset = 16 * 2 ** 20;

/** Between `tablesOffset` and here: the IOMMU's tables and the pages that messages are written to, the platform's own. */
export const firstFreeOffset = 32 * 2 ** 20;

/** The address, in each device's domain, of the page its messages go to; nothing else may be mapped there. Far below VT-d's own 0xfeexxxxx. */
export const messageIova = 0xf000_0000;

/** VT-d, 10.4: no translation of these addresses, writes to them are interrupts. */
export const interruptRange = { first: 0xfee0_0000, sizeBytes: 0x10_0000 } as const;
