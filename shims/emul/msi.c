// SPDX-License-Identifier: GPL-2.0-only
/*
 * Message interrupts. Linux writes addresses and data into the device's table; here the trusted side has done so for the messages
 * that were granted, which are lines "msix0" and on. A device without them has its line.
 */
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include "emul.h"

static int message_line(unsigned int number)
{
	char name[16];

	snprintf(name, sizeof(name), "msix%u", number);
	return emul_find_irq(name);
}

static int granted_messages(void)
{
	int count = 0;

	while (count < NR_IRQS && message_line(count) >= 0)
		count++;
	return count;
}

int pci_msi_enabled(void)
{
	return granted_messages() > 0;
}

int pci_msix_vec_count(struct pci_dev *device)
{
	int count = granted_messages();

	return count > 0 ? count : -EINVAL;
}

/* What is granted are messages of the newer kind. */
int pci_msi_vec_count(struct pci_dev *device)
{
	return -EINVAL;
}

int pci_enable_msi(struct pci_dev *device)
{
	return -ENOSYS;
}

void pci_disable_msi(struct pci_dev *device)
{
}

int pci_enable_msix_range(struct pci_dev *device, struct msix_entry *entries, int least, int most)
{
	int count = min(granted_messages(), most);

	if (least > most)
		return -ERANGE;
	if (count < least || count == 0)
		return -ENOSPC;
	for (int n = 0; entries && n < count; n++) {
		int line = message_line(entries[n].entry);

		if (line < 0)
			return -EINVAL;
		entries[n].vector = emul_irq_number(line);
	}
	device->msix_enabled = 1;
	return count;
}

void pci_disable_msix(struct pci_dev *device)
{
	device->msix_enabled = 0;
}

int pci_alloc_irq_vectors_affinity(struct pci_dev *device, unsigned int least, unsigned int most, unsigned int flags,
				   struct irq_affinity *affinity)
{
	if (flags & PCI_IRQ_MSIX) {
		int count = pci_enable_msix_range(device, NULL, least, most);

		if (count > 0)
			return count;
	}
	if ((flags & PCI_IRQ_LEGACY) && least <= 1 && device->irq)
		return 1;
	return -ENOSPC;
}

void pci_free_irq_vectors(struct pci_dev *device)
{
	pci_disable_msix(device);
}

int pci_irq_vector(struct pci_dev *device, unsigned int number)
{
	int line;

	if (!device->msix_enabled)
		return number == 0 ? device->irq : -EINVAL;
	line = message_line(number);
	return line < 0 ? -EINVAL : emul_irq_number(line);
}

const struct cpumask *pci_irq_get_affinity(struct pci_dev *device, int number)
{
	return cpu_possible_mask;
}

void pci_restore_msi_state(struct pci_dev *device)
{
}

void pci_msi_init(struct pci_dev *device)
{
}

void pci_msix_init(struct pci_dev *device)
{
}
