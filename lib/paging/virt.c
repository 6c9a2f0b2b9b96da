/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "as.h"

/* One page's part of an access: the page, walked for, and cached where that is allowed. */
static int find_and_cache(struct scry_as *as, uint64_t gva, struct scry_page *page)
{
	uint64_t epoch = atomic_load(&as->vm->cache_epoch);
	uint64_t life = __atomic_load_n(as->head.life, __ATOMIC_ACQUIRE);
	int ret = scry_find_page(as, gva, page);

	if (!ret)
		scry_tlb_fill(as, gva, page, epoch, life);
	return ret;
}

static size_t left_in_page(uint64_t gva, uint64_t page_size, size_t len)
{
	uint64_t left = page_size - (gva & (page_size - 1));

	return len < left ? len : left;
}

static int check_end(const struct scry_as *as, uint64_t gva, size_t len)
{
	if (!len || gva + (len - 1) >= gva)
		return 0;
	return scry_fail(SCRY_E_NOTMAPPED, "%zu bytes at virtual address 0x%llx reach past the end "
			 "of the address space (root 0x%llx)", len, (unsigned long long)gva,
			 (unsigned long long)as->root);
}

static int read_piece(struct scry_as *as, uint64_t gva, unsigned char *buf, size_t len,
		      size_t *done)
{
	struct scry_page page;
	size_t left;
	const unsigned char *host = scry_tlb_find(as, gva, &left);
	int ret;

	if (host) {
		*done = len < left ? len : left;
		memcpy(buf, host, *done);
		/* Another thread may have let the VM go on meanwhile. */
		if (scry_tlb_is_valid(as))
			return 0;
	}
	ret = find_and_cache(as, gva, &page);
	if (ret < 0)
		return ret;
	*done = left_in_page(gva, page.size, len);
	return scry_read_phys(as->vm, page.gpa, buf, *done);
}

int scry_read_virt(struct scry_as *as, uint64_t gva, void *buf, size_t len)
{
	int ret = check_end(as, gva, len);
	unsigned char *to = buf;
	size_t n;

	for (; !ret && len; gva += n, to += n, len -= n) {
		ret = read_piece(as, gva, to, len, &n);
		if (ret < 0)
			return ret;
	}
	return ret;
}

int scry_read_virt_u64_slow(struct scry_as *as, uint64_t gva, uint64_t *value)
{
	return scry_read_virt(as, gva, value, sizeof(*value));
}

/* Both passes of a write: look whether every page is there, then write. */
static int write_pass(struct scry_as *as, uint64_t gva, const unsigned char *from, size_t len,
		      bool write)
{
	while (len) {
		struct scry_page page;
		int ret = scry_find_page(as, gva, &page);
		size_t n;

		if (ret < 0)
			return ret;
		n = left_in_page(gva, page.size, len);
		ret = write ? scry_write_phys(as->vm, page.gpa, from, n) :
			      scry_check_writable(as->vm, page.gpa, n);
		if (ret < 0)
			return ret;
		gva += n;
		from += n;
		len -= n;
	}
	return 0;
}

int scry_write_virt(struct scry_as *as, uint64_t gva, const void *buf, size_t len)
{
	int ret = check_end(as, gva, len);

	if (!ret)
		ret = write_pass(as, gva, buf, len, false);
	return ret < 0 ? ret : write_pass(as, gva, buf, len, true);
}
