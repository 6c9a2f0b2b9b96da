/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: xen-domain NAME KERNEL VCPUS MIB [altp2m] [COMMAND LINE [INITRD]]
 *	  xen-domain empty NAME
 *	  xen-domain crash|destroy NUMBER
 *
 * Make a PVH domain of a kernel, let it run, and print its number; or one with nothing
 * in it; or end one.  There is no
 * device in it, and none of Xen's daemons is needed; where xenstored runs it gets
 * the name there.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenguest.h>
#include <xenstore.h>
#include <xen/hvm/params.h>

#include "mptable.h"

#define MIB          (UINT64_C(1) << 20)
#define SPECIAL      (UINT64_C(0xfeff8) << 12)	/* Xen's own pages, up to 0xfefff */
#define BELOW_4G     (UINT64_C(0xf0000000))
#define PAGING_POOL  (32 * MIB)

struct plan {
	const char *name, *kernel, *cmdline, *initrd;
	unsigned vcpus;
	uint64_t size;		/* bytes of RAM */
	int altp2m;
	uint32_t id;
};

static xc_interface *xch;

static int failed(const char *what)
{
	fprintf(stderr, "xen-domain: %s: %s\n", what, strerror(errno));
	return -1;
}

#define TRY(call) \
	do { \
		if ((call) < 0) \
			return failed(#call); \
	} while (0)

static int create_empty(struct plan *plan)
{
	struct xen_domctl_createdomain config = {
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = plan->vcpus,
		.max_evtchn_port = 1023,
		.max_grant_frames = -1,
		.max_maptrack_frames = -1,
		.grant_opts = XEN_DOMCTL_GRANT_version(1),
		.arch.emulation_flags = XEN_X86_EMU_LAPIC,
	};

	TRY(xc_domain_create(xch, &plan->id, &config));
	return 0;
}

static int create(struct plan *plan)
{
	/* It is busy all the time, and dom0 shares the processor with it. */
	struct xen_domctl_sched_credit2 weight = { .weight = 16 };

	TRY(create_empty(plan));
	TRY(xc_domain_max_vcpus(xch, plan->id, plan->vcpus));
	TRY(xc_domain_setmaxmem(xch, plan->id, plan->size / 1024 + 4096));
	TRY(xc_set_paging_mempool_size(xch, plan->id, PAGING_POOL));
	TRY(xc_sched_credit2_domain_set(xch, plan->id, &weight));
	if (plan->altp2m)
		TRY(xc_hvm_param_set(xch, plan->id, HVM_PARAM_ALTP2M, XEN_ALTP2M_external));
	return 0;
}

static int set_memory_map(struct plan *plan, struct xc_dom_image *dom)
{
	struct e820entry map[3] = {
		{ .addr = 0, .size = dom->lowmem_end, .type = 1 },
		{ .addr = SPECIAL, .size = 8 << 12, .type = 2 },
		{ .addr = UINT64_C(1) << 32, .type = 1 },
	};

	if (dom->highmem_end)
		map[2].size = dom->highmem_end - map[2].addr;
	TRY(xc_domain_set_memory_map(xch, plan->id, map, dom->highmem_end ? 3 : 2));
	return 0;
}

static int build(struct plan *plan, struct xc_dom_image *dom)
{
	dom->container_type = XC_DOM_HVM_CONTAINER;
	dom->max_vcpus = plan->vcpus;
	dom->target_pages = plan->size >> 12;
	dom->mmio_start = BELOW_4G;
	dom->mmio_size = (UINT64_C(1) << 32) - BELOW_4G;
	dom->lowmem_end = plan->size < BELOW_4G ? plan->size : BELOW_4G;
	dom->highmem_end = plan->size > BELOW_4G ? (UINT64_C(1) << 32) + plan->size - BELOW_4G : 0;

	TRY(xc_dom_kernel_file(dom, plan->kernel));
	if (plan->initrd)
		TRY(xc_dom_module_file(dom, plan->initrd, NULL));
	TRY(xc_dom_boot_xen_init(dom, xch, plan->id));
	TRY(xc_dom_parse_image(dom));
	TRY(xc_dom_mem_init(dom, plan->size / MIB));
	TRY(xc_dom_boot_mem_init(dom));
	TRY(set_memory_map(plan, dom));
	TRY(xc_dom_build_image(dom));
	TRY(xc_dom_boot_image(dom));
	TRY(xc_dom_gnttab_init(dom));
	return 0;
}

static void set_name(const struct plan *plan)
{
	/* Where it does not run, libxenstore would wait for it for ever. */
	struct xs_handle *store = access("/var/run/xenstored/socket", F_OK) ? NULL : xs_open(0);
	char path[64];

	snprintf(path, sizeof(path), "/local/domain/%u/name", plan->id);
	if (!store || !xs_write(store, XBT_NULL, path, plan->name, strlen(plan->name)))
		fprintf(stderr, "xen-domain: the domain has no name: %s\n", strerror(errno));
	if (store)
		xs_close(store);
}

static int make(struct plan *plan)
{
	struct xc_dom_image *dom;
	int ret;

	TRY(create(plan));
	dom = xc_dom_allocate(xch, plan->cmdline, NULL);
	if (!dom)
		return failed("xc_dom_allocate()");
	ret = build(plan, dom);
	xc_dom_release(dom);
	if (ret < 0)
		return ret;
	set_name(plan);
	/* No xenstored is told of it: Linux would wait for an answer. */
	TRY(xc_hvm_param_set(xch, plan->id, HVM_PARAM_STORE_PFN, 0));
	TRY(mptable_write(xch, plan->id, plan->vcpus));
	TRY(xc_domain_unpause(xch, plan->id));
	printf("%u\n", plan->id);
	return 0;
}

static int make_as_told(int argc, char **argv)
{
	struct plan plan = { .cmdline = "" };
	int ret, rest = 5;

	plan.name = argv[1];
	plan.kernel = argv[2];
	plan.vcpus = (unsigned)strtoul(argv[3], NULL, 0);
	plan.size = strtoull(argv[4], NULL, 0) * MIB;
	if (argc > rest && !strcmp(argv[rest], "altp2m")) {
		plan.altp2m = 1;
		rest++;
	}
	if (argc > rest)
		plan.cmdline = argv[rest];
	if (argc > rest + 1)
		plan.initrd = argv[rest + 1];
	ret = make(&plan);
	if (ret < 0 && plan.id)
		xc_domain_destroy(xch, plan.id);
	return ret;
}

static int make_empty(const char *name)
{
	struct plan plan = { .name = name, .vcpus = 1 };

	TRY(create_empty(&plan));
	set_name(&plan);
	printf("%u\n", plan.id);
	return 0;
}

static int do_to(const char *what, const char *argument)
{
	uint32_t id = (uint32_t)strtoul(argument, NULL, 0);

	if (!strcmp(what, "empty"))
		return make_empty(argument);
	if (!strcmp(what, "crash"))
		TRY(xc_domain_shutdown(xch, id, SHUTDOWN_crash));
	else
		TRY(xc_domain_destroy(xch, id));
	return 0;
}

static bool is_one_of(const char *word)
{
	return !strcmp(word, "empty") || !strcmp(word, "crash") || !strcmp(word, "destroy");
}

int main(int argc, char **argv)
{
	bool word = argc == 3 && is_one_of(argv[1]);
	int ret;

	if (!word && argc < 5) {
		fputs("usage: xen-domain NAME KERNEL VCPUS MIB [altp2m] [COMMAND LINE [INITRD]]\n"
		      "       xen-domain empty NAME\n"
		      "       xen-domain crash|destroy NUMBER\n", stderr);
		return 2;
	}
	xch = xc_interface_open(NULL, NULL, 0);
	if (!xch)
		return failed("no Xen here") < 0;
	ret = word ? do_to(argv[1], argv[2]) : make_as_told(argc, argv);
	xc_interface_close(xch);
	return ret < 0;
}
