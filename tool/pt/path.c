/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <intel-pt.h>
#include <stdlib.h>

#include "path.h"

/* Address spaces that are kept open. */
#define SPACES 16

struct path {
	struct scry_vm *vm;
	struct pt_insn_decoder *decoder;
	path_fn fn;
	void *opaque;
	struct {
		uint64_t cr3;
		struct scry_as *as;
	} space[SPACES];
	unsigned next;		/* the one to be replaced */
	uint64_t cr3;		/* as given */
	uint64_t unread;	/* the last address of code that could not be read */
	uint64_t error_at;	/* offset of the last error + 1, until the path goes on */
};

static struct scry_as *space_of(struct path *p, uint64_t cr3)
{
	const struct scry_as_opts opts = { .sz = sizeof(opts), .mode = SCRY_PAGING_4LEVEL, .nxe = 1 };
	unsigned n = p->next;

	for (unsigned i = 0; i < SPACES; i++)
		if (p->space[i].as && p->space[i].cr3 == cr3)
			return p->space[i].as;
	scry_as_free(p->space[n].as);
	p->space[n].as = NULL;
	if (scry_as_open(p->vm, cr3, &opts, &p->space[n].as) < 0)
		return NULL;
	p->space[n].cr3 = cr3;
	p->next = (n + 1) % SPACES;
	return p->space[n].as;
}

/* libipt asks for code; near a page's end for more than there may be. */
static int read_code(uint8_t *buffer, size_t size, const struct pt_asid *asid, uint64_t ip,
		     void *context)
{
	struct path *p = context;
	size_t in_page = 4096 - ip % 4096;
	struct scry_as *as = NULL;

	p->unread = ip;
	/* Without paging there is no CR3. */
	if (asid->cr3 && asid->cr3 != pt_asid_no_cr3) {
		as = space_of(p, asid->cr3);
		if (!as)
			return -pte_nomap;
	}
	for (;;) {
		if (!(as ? scry_read_virt(as, ip, buffer, size) : scry_read_phys(p->vm, ip, buffer, size)))
			return (int)size;
		if (size <= in_page)
			return -pte_nomap;
		size = in_page;
	}
}

static int give_cr3(struct path *p, uint64_t cr3)
{
	const struct path_item item = { .kind = PATH_CR3, .cr3 = cr3 };

	if (p->cr3 == cr3)
		return 0;
	p->cr3 = cr3;
	return p->fn(&item, p->opaque);
}

static int give_event(struct path *p, const struct pt_event *e)
{
	struct path_item item;

	if (e->type == ptev_paging || e->type == ptev_async_paging)
		return give_cr3(p, e->type == ptev_paging ? e->variant.paging.cr3 :
							    e->variant.async_paging.cr3);
	/* What a PSB repeats, for those who begin there. */
	if (e->status_update)
		return 0;
	switch (e->type) {
	case ptev_enabled:
		item = (struct path_item){ .kind = PATH_ENABLED, .ip = e->variant.enabled.ip };
		break;
	case ptev_disabled:
		item = (struct path_item){ .kind = PATH_DISABLED, .ip = e->variant.disabled.ip };
		break;
	case ptev_async_disabled:
		item = (struct path_item){ .kind = PATH_DISABLED,
					   .ip = e->variant.async_disabled.at };
		break;
	case ptev_async_branch:
		item = (struct path_item){ .kind = PATH_INTERRUPT,
					   .ip = e->variant.async_branch.from,
					   .to = e->variant.async_branch.to };
		break;
	case ptev_overflow:
		item = (struct path_item){ .kind = PATH_LOST };
		break;
	default:
		return 0;
	}
	return p->fn(&item, p->opaque);
}

static int give_error(struct path *p, int error)
{
	struct path_item item = { .kind = PATH_ERROR, .why = pt_errstr(pt_errcode(error)),
				  .ip = p->unread, .cr3 = p->cr3 };

	if (error != -pte_nomap)
		item.ip = 0;
	pt_insn_get_offset(p->decoder, &item.offset);
	p->error_at = item.offset + 1;
	return p->fn(&item, p->opaque);
}

/* After an error the path goes on at the next PSB. */
static int give_skipped(struct path *p)
{
	struct path_item item = { .kind = PATH_SKIPPED };

	if (!p->error_at)
		return 0;
	pt_insn_get_sync_offset(p->decoder, &item.offset);
	item.skipped = item.offset - (p->error_at - 1);
	p->error_at = 0;
	return p->fn(&item, p->opaque);
}

static int give_insn(struct path *p, const struct pt_insn *insn)
{
	struct path_item item = {
		.kind = PATH_INSN, .ip = insn->ip, .bytes = insn->raw, .size = insn->size,
		.bits = insn->mode == ptem_64bit ? 64 : insn->mode == ptem_32bit ? 32 : 16,
	};

	return p->fn(&item, p->opaque);
}

/* From one PSB until the packets end or make no sense: a libipt status, and *ret what fn said. */
static int follow(struct path *p, int status, int *ret)
{
	while (status >= 0 && !*ret) {
		struct pt_insn insn = { 0 };
		struct pt_event event;

		while (status >= 0 && status & pts_event_pending && !*ret) {
			status = pt_insn_event(p->decoder, &event, sizeof(event));
			if (status >= 0)
				*ret = give_event(p, &event);
		}
		if (status < 0 || status & pts_eos || *ret)
			break;
		status = pt_insn_next(p->decoder, &insn, sizeof(insn));
		if (insn.iclass != ptic_error && !*ret)
			*ret = give_insn(p, &insn);
	}
	return status;
}

static int run(struct path *p)
{
	int ret = 0, status;

	while (!ret && (status = pt_insn_sync_forward(p->decoder)) >= 0) {
		ret = give_skipped(p);
		status = follow(p, status, &ret);
		if (status < 0 && status != -pte_eos && !ret)
			ret = give_error(p, status);
	}
	return ret;
}

int path_decode(struct scry_vm *vm, const uint8_t *packets, size_t len, path_fn fn, void *opaque)
{
	struct path p = { .vm = vm, .fn = fn, .opaque = opaque };
	struct pt_config config;
	int ret = -1;

	pt_config_init(&config);
	config.begin = (uint8_t *)packets;
	config.end = config.begin + len;
	p.decoder = pt_insn_alloc_decoder(&config);
	if (p.decoder && pt_image_set_callback(pt_insn_get_image(p.decoder), read_code, &p) >= 0)
		ret = run(&p);
	pt_insn_free_decoder(p.decoder);
	for (unsigned i = 0; i < SPACES; i++)
		scry_as_free(p.space[i].as);
	return ret;
}
