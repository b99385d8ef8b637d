/* SPDX-License-Identifier: GPL-2.0-only */
/* Registers that nobody can see. */
#ifndef _ASM_PTRACE_H
#define _ASM_PTRACE_H
#ifndef __ASSEMBLY__
struct pt_regs { unsigned long unused; };
#define user_mode(regs) 0
#define instruction_pointer(regs) 0ul
#define user_stack_pointer(regs) 0ul
#define profile_pc(regs) 0ul
#define current_user_stack_pointer() 0ul
static inline void instruction_pointer_set(struct pt_regs *regs, unsigned long at) { }
#endif
#endif
