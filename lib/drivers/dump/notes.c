/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

#define NOTES_MOST (64u << 20)

#define ALIGN4(n) (((uint64_t)(n) + 3) & ~UINT64_C(3))

struct note {
	const char *name;	/* of name_len bytes, with its end */
	size_t name_len;
	uint32_t type;
	const unsigned char *desc;
	size_t len;
	uint64_t offset;	/* of desc, in the file */
};

static bool is_named(const struct note *n, const char *name)
{
	size_t len = strlen(name);

	/* QEMU counts the name's end, others may not. */
	return n->name_len >= len && n->name_len <= len + 1 && !memcmp(n->name, name, len) &&
	       (n->name_len == len || !n->name[len]);
}

static int take_vmcoreinfo(struct dump_vm *d, const struct note *n)
{
	if (d->vmcoreinfo)
		return 0;
	d->vmcoreinfo = malloc(n->len + 1);
	if (!d->vmcoreinfo)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the dump %s", d->file.path);
	memcpy(d->vmcoreinfo, n->desc, n->len);
	d->vmcoreinfo[n->len] = 0;
	return 0;
}

static int take(struct dump_vm *d, const struct note *n, bool is_64)
{
	struct dump_notes *c = &d->notes;

	if (is_named(n, "CORE") && n->type == NT_PRSTATUS)
		return dump_cpu_prstatus(d, c->prstatus++, n->desc, n->len, is_64);
	if (is_named(n, DUMP_QEMU_NAME) && !n->type)
		return dump_cpu_qemu(d, c->qemu++, n->desc, n->len);
	if (is_named(n, DUMP_SCRY_NAME) && n->type == DUMP_SCRY_CPU)
		return dump_cpu_scry(d, c->scry++, n->desc, n->len);
	if (is_named(n, "LINUX") && n->type == NT_X86_XSTATE)
		dump_cpu_xsave(d, c->xsave++, n->offset, n->len);
	if (is_named(n, DUMP_VMCOREINFO_NAME))
		return take_vmcoreinfo(d, n);
	return 0;
}

static int take_all(struct dump_vm *d, const unsigned char *bytes, uint64_t size, uint64_t offset,
		    bool is_64)
{
	Elf64_Nhdr h;	/* the same in both classes */

	for (uint64_t at = 0; size - at >= sizeof(h);) {
		uint64_t name, desc;
		struct note n;
		int ret;

		memcpy(&h, bytes + at, sizeof(h));
		if (!h.n_namesz && !h.n_descsz)
			break;		/* the kernel leaves room behind the last */
		name = at + sizeof(h);
		desc = name + ALIGN4(h.n_namesz);
		if (desc > size || h.n_descsz > size - desc)
			return scry_fail(SCRY_E_INVAL, "%s is malformed: a note reaches past its segment",
					 d->file.path);
		n = (struct note){ (const char *)bytes + name, h.n_namesz, h.n_type, bytes + desc,
				   h.n_descsz, offset + desc };
		ret = take(d, &n, is_64);
		if (ret < 0)
			return ret;
		at = desc + ALIGN4(h.n_descsz);
		if (at > size)
			break;
	}
	return 0;
}

int dump_parse_notes(struct dump_vm *d, uint64_t offset, uint64_t size, bool is_64)
{
	unsigned char *bytes;
	int ret;

	if (size > d->file.size)
		return scry_fail(SCRY_E_INVAL, "the file %s is cut short: it ends within its notes",
				 d->file.path);
	if (size > NOTES_MOST - d->notes.bytes)
		return scry_fail(SCRY_E_INVAL, "%s is malformed: its notes are larger than can be",
				 d->file.path);
	d->notes.bytes += size;
	bytes = malloc(size);
	if (!bytes)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the dump %s", d->file.path);
	ret = dump_file_read(&d->file, offset, bytes, size);
	if (!ret)
		ret = take_all(d, bytes, size, offset, is_64);
	free(bytes);
	return ret;
}
