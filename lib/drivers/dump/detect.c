/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <string.h>

#include "dump.h"

#define LONGEST 16

/* Formats that other programs write and this driver does not read: what to do. */
static const struct {
	const char *magic, *what;
} others[] = {
	{ "KDUMP   ", "makedumpfile's compressed format: make an ELF core of it, makedumpfile -E" },
	{ "makedumpfile", "makedumpfile's flattened format: put it together by makedumpfile -R" },
	{ "LibvirtQemud", "a guest saved by virsh: make a core by virsh dump --memory-only" },
	{ "QEVM", "a state saved by QEMU or virsh dump: make a core by dump-guest-memory, or "
	  "virsh dump --memory-only" },
	{ "PAGEDU64", "a Windows crash dump" },
	{ "PAGEDUMP", "a Windows crash dump" },
	{ "\xd2\xbe\xd2\xbe", "a VMware state" },
	{ "\x1f\x8b", "compressed by gzip: decompress it" },
	{ "\xfd" "7zXZ", "compressed by xz: decompress it" },
	{ "QFI\xfb", "a disk image (qcow2), not memory" },
};

static int parse_raw(struct dump_vm *d, const char *head)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!memcmp(head, others[i].magic, strlen(others[i].magic)))
			return scry_fail(SCRY_E_INVAL, "%s is %s", d->file.path, others[i].what);
	if (d->file.size & 4095)
		return scry_fail(SCRY_E_INVAL, "%s is no dump: neither an ELF core nor LiME's, and no "
				 "raw image, for its size is not a whole number of pages",
				 d->file.path);
	d->format = "raw memory";
	return dump_add_piece(d, 0, d->file.size, 0);
}

int dump_parse(struct dump_vm *d)
{
	char head[LONGEST] = "";
	size_t len = d->file.size < LONGEST ? (size_t)d->file.size : LONGEST;
	int ret = dump_file_read(&d->file, 0, head, len);

	if (ret < 0)
		return ret;
	if (!memcmp(head, ELFMAG, SELFMAG))
		return dump_parse_elf(d);
	if (!memcmp(head, "EMiL", 4))
		return dump_parse_lime(d);
	return parse_raw(d, head);
}
