// SPDX-License-Identifier: GPL-2.0-only
/* Text for /proc and debugfs, which nobody reads here: it goes into the buffer that the file has, if it has one. */
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/string.h>

void seq_vprintf(struct seq_file *file, const char *format, va_list args)
{
	if (file->buf && file->count < file->size)
		file->count += vscnprintf(file->buf + file->count, file->size - file->count, format, args);
}

void seq_printf(struct seq_file *file, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	seq_vprintf(file, format, args);
	va_end(args);
}

void seq_puts(struct seq_file *file, const char *text)
{
	seq_printf(file, "%s", text);
}

void seq_putc(struct seq_file *file, char character)
{
	seq_printf(file, "%c", character);
}

int seq_write(struct seq_file *file, const void *from, size_t size)
{
	size_t most = file->buf ? file->size - file->count : 0;

	memcpy(file->buf + file->count, from, min(size, most));
	file->count += min(size, most);
	return 0;
}
