/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "ids.h"
#include "request.h"

/* A request that is being looked at: what is left of its payload. */
struct source {
	enum kvmi_generation generation;
	const uint8_t *payload;
	size_t size;
};

/* A struct from the beginning; what a short message lacks is zero. */
static void take(const struct source *s, void *to, size_t size)
{
	memset(to, 0, size);
	memcpy(to, s->payload, s->size < size ? s->size : size);
}

static bool is_zero(const void *bytes, size_t size)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < size; i++)
		if (b[i])
			return false;
	return true;
}

/* v12 takes 0 and 1; v7 what is not 0 for true. */
static bool bad_flag(const struct source *s, uint8_t flag)
{
	return s->generation == KVMI_V12 && flag > 1;
}

static int take_check(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_check check;

	take(s, &check, sizeof(check));
	r->id = check.id;
	return check.pad || check.pad2 ? -KVMI_EINVAL : 0;
}

static int take_events(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_control_events c;
	int event;

	take(s, &c, sizeof(c));
	event = kvmi_event_of(s->generation, c.event);
	if (c.pad || c.pad2 || bad_flag(s, c.enable) || event == KVMI_NONE ||
	    kvmi_is_vm_event((enum kvmi_event)event) != (r->command == KVMI_VM_CONTROL_EVENTS))
		return -KVMI_EINVAL;
	r->events.event = (enum kvmi_event)event;
	r->events.enable = c.enable;
	return 0;
}

static int take_physical(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_physical p;
	bool write = r->command == KVMI_WRITE_PHYSICAL;

	take(s, &p, sizeof(p));
	/* Behind v12's 16 bits of size comes padding: more than a page is wrong in both. */
	if (write && (s->size < sizeof(p) ||
		      (s->generation == KVMI_V12 ? (uint16_t)p.size : p.size) > s->size - sizeof(p)))
		return KVMI_HANG_UP;
	if (p.size < 1 || p.size > KVMI_PAGE || p.gpa % KVMI_PAGE + p.size > KVMI_PAGE)
		return -KVMI_EINVAL;
	r->physical.gpa = p.gpa;
	r->physical.size = (uint32_t)p.size;
	r->physical.data = write ? s->payload + sizeof(p) : NULL;
	return 0;
}

/* v7: behind a struct kvmi_vcpu, which has been looked at. */
static int take_pause(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_v12_pause p12;
	struct kvmi_v7_pause p7;

	if (s->generation == KVMI_V7) {
		take(s, &p7, sizeof(p7));
		r->wait = p7.wait == 1;
		return is_zero(p7.pad, sizeof(p7.pad)) ? 0 : KVMI_HANG_UP;
	}
	take(s, &p12, sizeof(p12));
	r->vcpu = p12.vcpu;
	r->wait = p12.wait;
	return p12.wait > 1 || p12.pad || p12.pad2 ? -KVMI_EINVAL : 0;
}

/* A flag and padding, as several commands have. */
static int take_enable(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_singlestep step;

	take(s, &step, sizeof(step));
	r->enable = step.enable;
	return bad_flag(s, step.enable) || !is_zero(step.pad, sizeof(step.pad)) ? -KVMI_EINVAL : 0;
}

static int take_access(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_v12_page_access h12;
	struct kvmi_v7_page_access h7;
	bool v7 = s->generation == KVMI_V7;
	bool padding;

	take(s, &h12, sizeof(h12));
	take(s, &h7, sizeof(h7));
	r->access.view = v7 ? h7.view : 0;
	r->access.count = v7 ? h7.count : h12.count;
	r->access.entries = s->payload + sizeof(h12);
	if (s->size < sizeof(h12) + r->access.count * sizeof(struct kvmi_page_access_entry))
		return KVMI_HANG_UP;
	padding = v7 ? h7.pad : h12.pad || h12.pad2;
	return padding || r->access.view >= KVMI_V7_VIEWS ? -KVMI_EINVAL : 0;
}

int kvmi_access_take(const uint8_t *entries, unsigned n, struct kvmi_page_access_entry *entry)
{
	memcpy(entry, entries + n * sizeof(*entry), sizeof(*entry));
	return entry->access > (KVMI_READ | KVMI_WRITE | KVMI_EXEC) ||
	       !is_zero(entry->pad, sizeof(entry->pad)) ? -KVMI_EINVAL : 0;
}

static int take_response(const struct source *s, struct kvmi_request *r)
{
	take(s, &r->response, sizeof(r->response));
	return r->response.pad || r->response.pad2 ? KVMI_HANG_UP : 0;
}

static int take_msrs(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_get_registers g;

	take(s, &g, sizeof(g));
	r->msrs.count = g.msrs;
	r->msrs.indexes = s->payload + sizeof(g);
	if (g.pad || g.pad2 || s->size < sizeof(g) * !!g.msrs + g.msrs * sizeof(uint32_t))
		return -KVMI_EINVAL;
	if (g.msrs > KVMI_MSRS_MOST)
		return s->generation == KVMI_V12 ? -KVMI_EINVAL : -KVMI_ENOMEM;
	return 0;
}

static int take_cr(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_v12_control_cr c12;
	struct kvmi_v7_control_cr c7;
	bool v7 = s->generation == KVMI_V7;
	uint8_t enable;

	take(s, &c12, sizeof(c12));
	take(s, &c7, sizeof(c7));
	enable = v7 ? c7.enable : c12.enable;
	r->intercept.enable = enable;
	r->intercept.number = v7 ? c7.cr : c12.cr;
	if (bad_flag(s, enable) ||
	    !(v7 ? is_zero(c7.pad, sizeof(c7.pad)) : is_zero(c12.pad, sizeof(c12.pad))))
		return -KVMI_EINVAL;
	return r->intercept.number == 0 || r->intercept.number == 3 || r->intercept.number == 4 ?
	       0 : -KVMI_EINVAL;
}

static int take_msr(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_control_msr c;

	take(s, &c, sizeof(c));
	r->intercept.enable = c.enable;
	r->intercept.number = c.msr;
	if (bad_flag(s, c.enable) || !is_zero(c.pad, sizeof(c.pad)))
		return -KVMI_EINVAL;
	return c.msr < KVMI_MSR_RANGE || c.msr - KVMI_MSR_HIGH < KVMI_MSR_RANGE ? 0 : -KVMI_EINVAL;
}

static int take_inject(const struct source *s, struct kvmi_request *r)
{
	const struct kvmi_inject *i = &r->inject;

	take(s, &r->inject, sizeof(r->inject));
	if (i->pad || i->pad2 || i->vector >= 32 || i->vector == 2)
		return -KVMI_EINVAL;
	/* Canonical with five levels at most: with four the processor itself makes it so. */
	return (uint64_t)((int64_t)(i->cr2 << 7) >> 7) == i->cr2 ? 0 : -KVMI_EINVAL;
}

static int take_xcr(const struct source *s)
{
	struct kvmi_get_xcr xcr;

	take(s, &xcr, sizeof(xcr));
	return xcr.xcr || !is_zero(xcr.pad, sizeof(xcr.pad)) ? -KVMI_EINVAL : 0;
}

static int take_xsave(const struct source *s, struct kvmi_request *r)
{
	r->xsave = s->payload;
	r->size = s->size;
	return s->generation == KVMI_V12 && s->size < KVMI_XSAVE ? -KVMI_EINVAL : 0;
}

static int take_view(const struct source *s, struct kvmi_request *r)
{
	struct kvmi_v7_view v;

	take(s, &v, sizeof(v));
	r->view = v.view;
	return v.view >= KVMI_V7_VIEWS || !is_zero(v.pad, sizeof(v.pad)) ? -KVMI_EINVAL : 0;
}

static int take_control_view(const struct source *s, struct kvmi_request *r)
{
	take(s, &r->control_view, sizeof(r->control_view));
	return r->control_view.view >= KVMI_V7_VIEWS || r->control_view.pad || r->control_view.pad2 ?
	       -KVMI_EINVAL : 0;
}

static int take_more(const struct source *s, struct kvmi_request *r)
{
	switch (r->command) {
	case KVMI_SET_REGISTERS:
		take(s, &r->gprs, sizeof(r->gprs));
		return 0;
	case KVMI_GET_CPUID:
		take(s, &r->cpuid, sizeof(r->cpuid));
		return 0;
	case KVMI_GET_MTRR_TYPE:
	case KVMI_TRANSLATE_GVA:
		take(s, &r->address, sizeof(r->address));
		return 0;
	case KVMI_CHANGE_GFN:
		take(s, &r->change_gfn, sizeof(r->change_gfn));
		return 0;
	case KVMI_INJECT_EXCEPTION:
		return take_inject(s, r);
	case KVMI_GET_XCR:
		return take_xcr(s);
	case KVMI_SET_XSAVE:
		return take_xsave(s, r);
	case KVMI_SET_EPT_VIEW:
		return take_view(s, r);
	case KVMI_CONTROL_EPT_VIEW:
		return take_control_view(s, r);
	default:		/* there is nothing in it, or it is not supported anyway */
		return 0;
	}
}

static int take_command(const struct source *s, struct kvmi_request *r)
{
	switch (r->command) {
	case KVMI_CHECK_COMMAND:
	case KVMI_CHECK_EVENT:
		return take_check(s, r);
	case KVMI_VM_CONTROL_EVENTS:
	case KVMI_VCPU_CONTROL_EVENTS:
		return take_events(s, r);
	case KVMI_READ_PHYSICAL:
	case KVMI_WRITE_PHYSICAL:
		return take_physical(s, r);
	case KVMI_PAUSE:
		return take_pause(s, r);
	case KVMI_CONTROL_CLEANUP:
	case KVMI_CONTROL_SINGLESTEP:
		return take_enable(s, r);
	case KVMI_SET_PAGE_ACCESS:
		return take_access(s, r);
	case KVMI_CONTROL_CMD_RESPONSE:
		return take_response(s, r);
	case KVMI_GET_REGISTERS:
		return take_msrs(s, r);
	case KVMI_CONTROL_CR:
		return take_cr(s, r);
	case KVMI_CONTROL_MSR:
		return take_msr(s, r);
	default:
		return take_more(s, r);
	}
}

int kvmi_vcpu_take(enum kvmi_generation generation, const uint8_t *payload, size_t size,
		   unsigned *vcpu)
{
	struct kvmi_vcpu v;

	take(&(struct source){ generation, payload, size }, &v, sizeof(v));
	*vcpu = v.vcpu;
	if (!v.pad && !v.pad2)
		return 0;
	return generation == KVMI_V12 ? -KVMI_EINVAL : KVMI_HANG_UP;
}

int kvmi_request_take(enum kvmi_generation generation, enum kvmi_command command,
		      const uint8_t *payload, size_t size, struct kvmi_request *request)
{
	struct source s = { generation, payload, size };
	bool header = kvmi_is_vcpus(command) || (command == KVMI_PAUSE && generation == KVMI_V7);
	size_t skip = size < sizeof(struct kvmi_vcpu) ? size : sizeof(struct kvmi_vcpu);
	int status;

	*request = (struct kvmi_request){ .command = command };
	if (header) {
		status = kvmi_vcpu_take(generation, payload, size, &request->vcpu);
		if (status)
			return status;
		s.payload += skip;
		s.size -= skip;
	}
	return take_command(&s, request);
}

/* What may come behind a struct kvmi_event_reply. */
static size_t reply_part(enum kvmi_generation generation, enum kvmi_event event)
{
	if (event == KVMI_EVENT_CR || event == KVMI_EVENT_MSR)
		return sizeof(struct kvmi_reply_value);
	return generation == KVMI_V7 && event == KVMI_EVENT_PF ? sizeof(struct kvmi_v7_reply_pf) : 0;
}

static bool takes_action(enum kvmi_event event, uint8_t action)
{
	bool retry = event == KVMI_EVENT_PF || event == KVMI_EVENT_BREAKPOINT ||
		     event == KVMI_EVENT_DESCRIPTOR;

	return action == KVMI_CONTINUE || action == KVMI_CRASH || (action == KVMI_RETRY && retry);
}

static int take_pf(const struct source *s, struct kvmi_v7_reply_pf *pf)
{
	take(s, pf, sizeof(*pf));
	return pf->singlestep || pf->pad || pf->size > sizeof(pf->data) ? KVMI_HANG_UP : 0;
}

int kvmi_reply_take(enum kvmi_generation generation, enum kvmi_event event,
		    const uint8_t *payload, size_t size, struct kvmi_reply *reply)
{
	const size_t head = sizeof(struct kvmi_vcpu) + sizeof(struct kvmi_event_reply);
	struct source part = { generation, payload + head, size - head };
	struct kvmi_event_reply r;
	struct kvmi_reply_value value;

	*reply = (struct kvmi_reply){ .action = KVMI_CONTINUE };
	if (size < head || size - head > reply_part(generation, event))
		return KVMI_HANG_UP;
	memcpy(&r, payload + sizeof(struct kvmi_vcpu), sizeof(r));
	if (r.pad || r.pad2)
		return KVMI_HANG_UP;
	if (takes_action(event, r.action))
		reply->action = r.action;
	else if (generation == KVMI_V12)
		return KVMI_HANG_UP;
	take(&part, &value, sizeof(value));
	reply->new_value = value.new_value;
	return event == KVMI_EVENT_PF && generation == KVMI_V7 ? take_pf(&part, &reply->pf) : 0;
}

bool kvmi_answers_data(enum kvmi_command command)
{
	switch (command) {
	case KVMI_CHECK_COMMAND:
	case KVMI_CHECK_EVENT:
	case KVMI_VM_CONTROL_EVENTS:
	case KVMI_VCPU_CONTROL_EVENTS:
	case KVMI_WRITE_PHYSICAL:
	case KVMI_PAUSE:
	case KVMI_CONTROL_CLEANUP:
	case KVMI_SET_PAGE_ACCESS:
	case KVMI_CONTROL_SPP:
	case KVMI_SET_PAGE_WRITE_BITMAP:
	case KVMI_CONTROL_CMD_RESPONSE:
	case KVMI_SET_PAGE_SVE:
	case KVMI_SET_REGISTERS:
	case KVMI_CONTROL_CR:
	case KVMI_INJECT_EXCEPTION:
	case KVMI_SET_XSAVE:
	case KVMI_CONTROL_MSR:
	case KVMI_CONTROL_SINGLESTEP:
	case KVMI_SET_VE_INFO:
	case KVMI_DISABLE_VE:
	case KVMI_SET_EPT_VIEW:
	case KVMI_CONTROL_EPT_VIEW:
	case KVMI_CHANGE_GFN:
		return false;
	default:
		return true;
	}
}
