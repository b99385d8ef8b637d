/* SPDX-License-Identifier: GPL-2.0-only */
/* The kind of object that module headers speak of; none is ever loaded. */
#ifndef _ASM_ELF_H
#define _ASM_ELF_H
#define ELF_CLASS ELFCLASS32
#define ELF_DATA ELFDATA2LSB
#define ELF_ARCH EM_NONE
#define ELF_NGREG 1
typedef unsigned long elf_greg_t;
typedef elf_greg_t elf_gregset_t[ELF_NGREG];
typedef unsigned long elf_fpregset_t;
#define elf_check_arch(header) 0
#define ELF_EXEC_PAGESIZE 4096
#define ELF_ET_DYN_BASE 0
#define ELF_HWCAP 0
#define ELF_PLATFORM NULL
#define ELF_PLAT_INIT(regs, base) do { } while (0)
#endif
