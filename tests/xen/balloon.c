/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: xen-balloon DOMID GPA
 *
 * Take the page at GPA from the domain as its balloon would, and give it another: the
 * driver must say that there is nothing, of that page only, and then read the new one.
 */
/* Of libxenctrl, which maps a frame by it. */
#define XC_WANT_COMPAT_MAP_FOREIGN_API
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <scry/scry.h>
#include <xenctrl.h>

#define PAGE   4096u
#define WAIT_S 60

static xc_interface *xch;
static struct scry_vm *vm;
static uint32_t domid;
static uint64_t gpa;

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s; %s\n", what, scry_errmsg(), strerror(errno));
	return 1;
}

/* Until a read of the page gives that. */
static int wait_for(int wanted)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	time_t end = time(NULL) + WAIT_S;
	uint64_t value;
	int ret;

	while ((ret = scry_read_phys(vm, gpa, &value, sizeof(value))) != wanted) {
		if (time(NULL) >= end)
			return ret ? ret : 1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int neighbours(void)
{
	uint64_t value;

	return scry_read_phys(vm, gpa - 8, &value, 8) | scry_read_phys(vm, gpa + PAGE, &value, 8);
}

static int put(uint64_t value)
{
	uint64_t *page = xc_map_foreign_range(xch, (int)domid, PAGE, PROT_READ | PROT_WRITE, gpa / PAGE);

	if (!page)
		return -1;
	*page = value;
	return munmap(page, PAGE);
}

static int check(void)
{
	xen_pfn_t gfn = gpa / PAGE;
	const uint64_t mark = 0x6e6f6f6c6c6162;
	uint64_t value = 1;

	if (scry_write_phys(vm, gpa, &mark, sizeof(mark)) < 0)
		return fail("write");
	if (xc_domain_decrease_reservation_exact(xch, domid, 1, 0, &gfn) < 0)
		return fail("take the page away");
	if (wait_for(SCRY_E_ADDRESS))
		return fail("the page is gone, but is read");
	if (neighbours())
		return fail("the pages beside it");
	if (xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &gfn) < 0)
		return fail("give it back");
	if (wait_for(0))
		return fail("the page is back, but is not read");
	/* It may be the same page again, or hold the same: so write into it by another mapping. */
	if (put(mark + 1) < 0)
		return fail("map it");
	if (scry_read_phys(vm, gpa, &value, sizeof(value)) < 0 || value != mark + 1)
		return fail("the old page is read");
	if (scry_write_phys(vm, gpa, &mark, sizeof(mark)) < 0 ||
	    scry_read_phys(vm, gpa, &value, sizeof(value)) < 0 || value != mark)
		return fail("the new page");
	return neighbours() ? fail("the pages beside it") : 0;
}

int main(int argc, char **argv)
{
	char uri[32];
	int ret;

	if (argc != 3)
		return 2;
	domid = (uint32_t)strtoul(argv[1], NULL, 0);
	gpa = strtoull(argv[2], NULL, 0);
	snprintf(uri, sizeof(uri), "xen:%u", domid);
	xch = xc_interface_open(NULL, NULL, 0);
	if (!xch || scry_open(&vm, uri, NULL) < 0)
		return fail("open");
	ret = check();
	scry_close(vm);
	xc_interface_close(xch);
	return ret;
}
