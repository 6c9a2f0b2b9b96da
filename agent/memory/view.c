/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/accel.h"
#include "agent/client/message.h"
#include "agent/vcpu/vcpu.h"
#include "slat.h"
#include "view.h"

#define GFNS      (SLAT_GFNS + 1)
#define PAGE      UINT64_C(4096)
#define NO_MEMORY "QEMU has no memory left for another view"

/* Change only while no vCPU is in a block. */
static struct view {
	bool used;
	struct slat slat;
} views[SCRY_VIEWS] = { { .used = true } };

/* A request under way; status is 0, SCRY_E_... with a sentence in text, or a view's number. */
struct change {
	const struct scry_agent_view *request;
	unsigned count;		/* of request[] */
	int status;
	const char *text;
};

bool view_exists(unsigned view)
{
	return view < SCRY_VIEWS && views[view].used;
}

bool view_any(void)
{
	for (unsigned n = 0; n < SCRY_VIEWS; n++)
		if (views[n].slat.root)
			return true;
	return false;
}

void view_point(struct vcpu *vcpu, unsigned view)
{
	vcpu->view = view;
	vcpu->slat = views[view].slat.root ? &views[view].slat : NULL;
}

void view_enter(struct vcpu *vcpu, unsigned view)
{
	view_point(vcpu, view);
	qemu.tlb_flush(vcpu->cpu);
}

bool view_read(const struct vcpu *vcpu, uint64_t gva, void *data, uint64_t len)
{
	if (!vcpu->slat)
		return qemu.cpu_memory_rw_debug(vcpu->cpu, gva, data, len, false) == 0;
	for (char *at = data; len;) {
		uint64_t left = PAGE - gva % PAGE, part = left < len ? left : len;
		uint64_t gpa = accel->physical(vcpu, gva);

		if (gpa == ~UINT64_C(0) ||
		    qemu.address_space_rw(qemu.address_space_memory, slat_shown(vcpu->slat, gpa), 0, at,
					  part, false))
			return false;
		gva += part;
		at += part;
		len -= part;
	}
	return true;
}

static void fail(struct change *c, int code, const char *text)
{
	c->status = code;
	c->text = text;
}

static void create(struct change *c, unsigned like)
{
	unsigned n = 1;

	while (n < SCRY_VIEWS && views[n].used)
		n++;
	if (n == SCRY_VIEWS) {
		fail(c, SCRY_E_NOMEM, "too many views at a time: destroy some first");
	} else if (slat_copy(&views[n].slat, &views[like].slat) < 0) {
		fail(c, SCRY_E_NOMEM, NO_MEMORY);
	} else {
		views[n].used = true;
		c->status = (int)n;
	}
}

static void destroy(unsigned view)
{
	slat_clear(&views[view].slat);
	views[view].used = false;
	for (unsigned i = 0; i < vcpu_count; i++) {
		if (vcpus[i].view == view)
			vcpus[i].view = 0;
		if (vcpus[i].over.back == view)
			vcpus[i].over.back = 0;
	}
}

static void switch_to(uint64_t vcpu, unsigned view)
{
	for (unsigned i = 0; i < vcpu_count; i++) {
		if (i != vcpu && !accel->one_view)
			continue;
		vcpus[i].view = view;
		vcpus[i].over.on = false;
	}
}

/* Why the frames of the request cannot be as it says; NULL = they can. */
static const char *lacks(const struct scry_agent_view *r)
{
	bool traps = r->op == SCRY_AGENT_VIEW_PROTECT && r->argument;
	bool remaps = r->op == SCRY_AGENT_VIEW_REMAP && r->argument != r->gfn;

	if (!accel->view_lacks || !(traps || remaps))
		return NULL;
	return traps ? accel->view_lacks(r->gfn, r->count, (uint32_t)r->argument) :
		       accel->view_lacks(r->gfn, 1, 0);
}

static void apply(struct change *c, const struct scry_agent_view *r)
{
	struct slat *slat = &views[r->view].slat;
	const char *why = lacks(r);
	int done = 0;

	if (why) {
		fail(c, SCRY_E_REFUSED, why);
		return;
	}

	switch (r->op) {
	case SCRY_AGENT_VIEW_CREATE:
		create(c, r->view);
		break;
	case SCRY_AGENT_VIEW_DESTROY:
		destroy(r->view);
		break;
	case SCRY_AGENT_VIEW_PROTECT:
		done = slat_protect(slat, r->gfn, r->gfn + r->count - 1, (uint32_t)r->argument);
		break;
	case SCRY_AGENT_VIEW_REMAP:
		done = slat_remap(slat, r->gfn, r->argument << 12);
		break;
	case SCRY_AGENT_VIEW_SWITCH:
		switch_to(r->argument, r->view);
		break;
	}
	if (done < 0)
		fail(c, SCRY_E_NOMEM, "QEMU has no memory left for so finely divided a view: destroy "
		     "views, or trap larger ranges");
}

/* What the vCPUs' views say may have changed. */
static const char *point_all(void)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		view_point(&vcpus[i], vcpus[i].view);
	return accel->views_changed();
}

/* What the vCPUs are in, where that is one for all. */
struct kept {
	unsigned view;
	struct slat slat;
};

static bool keep(struct kept *k)
{
	k->view = vcpus[0].view;
	k->slat = (struct slat){ 0 };
	return !accel->one_view || slat_copy(&k->slat, &views[k->view].slat) == 0;
}

/* It could not be so: have it as it was. */
static void put_back(struct change *c, struct kept *k)
{
	if (c->status > 0)
		destroy((unsigned)c->status);
	slat_clear(&views[k->view].slat);
	views[k->view] = (struct view){ .used = true, .slat = k->slat };
	k->slat = (struct slat){ 0 };
	for (unsigned i = 0; i < vcpu_count; i++)
		vcpus[i].view = k->view;
	point_all();
}

/* Runs while no vCPU is in a block. */
static void change(struct qemu_cpu *cpu, void *opaque)
{
	struct change *c = opaque;
	struct kept kept;
	const char *why;

	(void)cpu;
	if (!keep(&kept)) {
		fail(c, SCRY_E_NOMEM, NO_MEMORY);
		return;
	}
	for (unsigned i = 0; i < c->count; i++)
		apply(c, &c->request[i]);
	why = point_all();
	if (why && accel->one_view)
		put_back(c, &kept);
	if (why)
		fail(c, SCRY_E_NOMEM, why);
	slat_clear(&kept.slat);
}

static void reset(struct qemu_cpu *cpu, void *unused)
{
	(void)cpu;
	(void)unused;
	for (unsigned n = 0; n < SCRY_VIEWS; n++) {
		slat_clear(&views[n].slat);
		views[n].used = n == 0;
	}
	for (unsigned i = 0; i < vcpu_count; i++) {
		vcpus[i].view = 0;
		vcpus[i].over.on = false;
		vcpus[i].pass.count = 0;
	}
	point_all();
}

void view_reset(void)
{
	bool any = views[0].slat.root;

	for (unsigned n = 1; n < SCRY_VIEWS; n++)
		any |= views[n].used;
	if (any)
		vcpu_run_exclusive(reset, NULL);
}

static bool frames_valid(const struct scry_agent_view *r)
{
	switch (r->op) {
	case SCRY_AGENT_VIEW_PROTECT:
		return r->count && r->gfn < GFNS && r->count <= GFNS - r->gfn &&
		       r->argument <= SLAT_TRAPS;
	case SCRY_AGENT_VIEW_REMAP:
		return r->gfn < GFNS && r->argument < GFNS + SCRY_FRAMES;
	case SCRY_AGENT_VIEW_SWITCH:
		return r->argument < vcpu_count;
	case SCRY_AGENT_VIEW_DESTROY:
		return r->view != 0;
	default:
		return r->op == SCRY_AGENT_VIEW_CREATE;
	}
}

int view_change(const struct scry_agent_view *requests, unsigned count, const char **text)
{
	struct change c = { .request = requests, .count = count };

	for (unsigned i = 0; i < count; i++)
		if (!view_exists(requests[i].view)) {
			*text = "there is no such view";
			return SCRY_E_NOTFOUND;
		}
	vcpu_run_exclusive(change, &c);
	*text = c.text;
	return c.status;
}

int view_request(int fd, const void *message, size_t len)
{
	const struct scry_agent_view *request = message;
	struct scry_agent_value reply = { .header.type = SCRY_AGENT_VIEW };
	const char *text;
	int status;

	if (len != sizeof(*request) || !frames_valid(request))
		return -1;
	status = view_change(request, 1, &text);
	if (status < 0)
		return message_fail(fd, SCRY_AGENT_VIEW, status, text);
	reply.value = (uint64_t)status;
	return message_send(fd, &reply, sizeof(reply), NULL, 0);
}
