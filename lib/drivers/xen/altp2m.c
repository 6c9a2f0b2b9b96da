/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "altp2m.h"
#include "events.h"

int xen_altp2m_state(struct xen_events *e, bool on)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_set_domain_state };

	op.u.domain_state.state = on;
	return xen_hyper_altp2m(&e->hyper, &op);
}

int xen_altp2m_create(struct xen_events *e, uint16_t *idx)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_create_p2m };
	int ret;

	op.u.view.view = (uint16_t)-1;
	op.u.view.hvmmem_default_access = XENMEM_access_rwx;
	ret = xen_hyper_altp2m(&e->hyper, &op);
	if (!ret)
		*idx = op.u.view.view;
	return ret;
}

int xen_altp2m_op(struct xen_events *e, uint32_t cmd, uint16_t idx)
{
	struct xen_hvm_altp2m_op op = { .cmd = cmd };

	op.u.view.view = idx;
	return xen_hyper_altp2m(&e->hyper, &op);
}

int xen_altp2m_remap(struct xen_events *e, uint16_t idx, uint64_t gfn, uint64_t target)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_change_gfn };

	op.u.change_gfn.view = idx;
	op.u.change_gfn.old_gfn = gfn;
	op.u.change_gfn.new_gfn = target;
	return xen_hyper_altp2m(&e->hyper, &op);
}

/* EPT cannot trap reads and let writes pass: those are looked at, and let pass. */
static uint8_t access_of(uint64_t traps)
{
	static const uint8_t access[] = {
		XENMEM_access_rwx, XENMEM_access_x, XENMEM_access_rx, XENMEM_access_x,
		XENMEM_access_rw, XENMEM_access_n, XENMEM_access_r, XENMEM_access_n,
	};

	return access[traps & 7];
}

uint8_t xen_altp2m_access(const struct xen_events *e, uint64_t gfn, uint64_t traps)
{
	/* A breakpoint's shadow is for execution only. */
	return access_of(xen_shadow_of(e, gfn) ? traps | SCRY_READ | SCRY_WRITE : traps);
}

int xen_altp2m_get_access(struct xen_events *e, uint16_t idx, uint64_t gfn, uint8_t *access)
{
	struct xen_hvm_altp2m_op op = { .cmd = HVMOP_altp2m_get_mem_access };
	int ret;

	op.u.mem_access.view = idx;
	op.u.mem_access.gfn = gfn;
	ret = xen_hyper_altp2m(&e->hyper, &op);
	*access = (uint8_t)op.u.mem_access.access;
	return ret;
}

int xen_batch_flush(struct xen_batch *b)
{
	int ret = b->count ? xen_hyper_altp2m_access(&b->e->hyper, b->idx, b->gfn, b->access,
						     b->count) : 0;

	b->count = 0;
	return ret;
}

int xen_batch_add(struct xen_batch *b, uint64_t gfn, uint64_t traps)
{
	b->gfn[b->count] = gfn;
	b->access[b->count++] = xen_altp2m_access(b->e, gfn, traps);
	return b->count == XEN_HYPER_ACCESSES ? xen_batch_flush(b) : 0;
}
