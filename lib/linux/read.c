/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "os.h"

#define PAGE UINT64_C(4096)

int os_read(struct scry_linux *os, uint64_t gva, void *buf, size_t len)
{
	return scry_read_virt(os->as, gva, buf, len);
}

int os_u64(struct scry_linux *os, uint64_t gva, uint64_t *value)
{
	return scry_read_virt_u64(os->as, gva, value);
}

int os_u32(struct scry_linux *os, uint64_t gva, uint32_t *value)
{
	return scry_read_virt(os->as, gva, value, sizeof(*value));
}

int os_string(struct scry_linux *os, uint64_t gva, char *buf, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		size_t room = size - 1 - used, page = PAGE - (gva + used) % PAGE;
		size_t n = room < page ? room : page, len;
		int ret = os_read(os, gva + used, buf + used, n);

		if (ret < 0)
			return ret;
		len = strnlen(buf + used, n);
		used += len;
		if (len < n)
			break;
	}
	buf[used] = 0;
	return 0;
}

int os_get(struct scry_linux *os, uint64_t base, enum os_member_id id, uint64_t *value)
{
	const struct os_member *m = &os->member[id];
	int ret = os_need(os, id);

	*value = 0;
	if (ret < 0)
		return ret;
	ret = os_read(os, base + m->offset, value, m->size < 8 ? m->size : 8);
	if (ret >= 0 && m->bits)
		*value = *value >> m->bit_offset & ((UINT64_C(1) << (m->bits & 63)) - 1);
	return ret;
}

int os_symbol(struct scry_linux *os, const char *name, uint64_t *address)
{
	if (os_kallsyms_find(&os->symbols, name, address))
		return 0;
	return scry_fail(SCRY_E_UNSUPPORTED, "layout unknown: the guest's kernel has no symbol %s", name);
}

int os_damaged(const char *what, uint64_t gva)
{
	return scry_fail(SCRY_E_STATE, "%s at 0x%llx is damaged, or changing: pause the VM to see it "
			 "whole", what, (unsigned long long)gva);
}

/* Brent's: `slow` is moved to where the walk is after 1, 2, 4, ... steps. */
int os_list(struct scry_linux *os, uint64_t head, os_list_fn fn, void *opaque)
{
	uint64_t node, slow = head, limit = 1;
	int ret = os_u64(os, head, &node);

	for (uint64_t n = 0; !ret && node != head; n++) {
		if (node == slow || n == OS_LIST_MOST)
			return os_damaged("a list of the kernel", head);
		if (n == limit) {
			slow = node;
			limit *= 2;
		}
		ret = fn(os, node, opaque);
		if (!ret)
			ret = os_u64(os, node, &node);
	}
	return ret;
}
