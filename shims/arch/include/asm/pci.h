/* SPDX-License-Identifier: GPL-2.0-only */
/* The bus holds one device, which is set up already: see emul/pci.c. */
#ifndef _ASM_PCI_H
#define _ASM_PCI_H
#define PCIBIOS_MIN_IO 0x1000
#define PCIBIOS_MIN_MEM 0
#define pcibios_assign_all_busses() 0
#include <asm-generic/pci.h>
#endif
