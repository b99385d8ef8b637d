/* SPDX-License-Identifier: GPL-2.0-only */
/* No processor bugs to look for. */
