/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "peer_commands.h"

/* A command at hand. */
struct request {
	struct peer *p;
	const struct kvmi_header *header;
	const uint8_t *payload;
	struct peer_vcpu *v;		/* of those that are to one */
};

static void reply(const struct request *r, int err, const void *data, size_t size)
{
	struct {
		struct kvmi_status status;
		uint8_t data[KVMI_PAYLOAD_MOST - sizeof(struct kvmi_status)];
	} m = { .status.err = -err };

	if (err)
		size = 0;
	if (size)
		memcpy(m.data, data, size);
	peer_send(r->p, r->header->id, r->header->seq, &m, sizeof(m.status) + size);
}

static void get_version(const struct request *r)
{
	const struct kvmi_v7_version_reply v7 = { .version = 1, .eptp = 1, .singlestep = 1 };
	const struct kvmi_v12_version_reply v12 = { .version = 1, .max_message = KVMI_PAYLOAD_MOST,
						    .singlestep = 1 };

	reply(r, 0, r->p->generation == KVMI_V7 ? (const void *)&v7 : &v12, sizeof(v7));
}

static int command_of(struct peer *p, unsigned id)
{
	for (int i = 0; i < KVMI_COMMAND_COUNT; i++)
		if (kvmi_command_id(p->generation, i) == (int)id)
			return i;
	return -1;
}

static int event_of(struct peer *p, unsigned id)
{
	for (int i = 0; i < KVMI_EVENT_COUNT; i++)
		if (kvmi_event_id(p->generation, i) == (int)id)
			return i;
	return -1;
}

/* Commands that only later kernels of v7 have. */
static bool is_later(int command)
{
	return command == KVMI_GET_NEXT_GFN || command == KVMI_QUERY_PHYSICAL ||
	       command == KVMI_CREATE_EPT_VIEW || command == KVMI_DESTROY_EPT_VIEW ||
	       command == KVMI_ALLOC_GFN || command == KVMI_FREE_GFN;
}

static void check(const struct request *r, bool is_event)
{
	struct kvmi_check c;
	int number;

	memcpy(&c, r->payload, sizeof(c));
	number = is_event ? event_of(r->p, c.id) : command_of(r->p, c.id);
	if (number < 0)
		reply(r, KVMI_ENOENT, NULL, 0);
	else if (!is_event && (is_later(number) || r->p->denials || r->p->denied >> number & 1))
		reply(r, KVMI_EPERM, NULL, 0);
	else
		reply(r, 0, NULL, 0);
	if (r->p->denials)
		r->p->denials--;
}

static bool is_memory(uint64_t gpa, uint64_t size)
{
	return gpa < PEER_MEMORY && size <= PEER_MEMORY - gpa &&
	       !(gpa >= PEER_HOLE && gpa < PEER_BACK);
}

static void physical(const struct request *r, bool write)
{
	struct kvmi_physical at;

	memcpy(&at, r->payload, sizeof(at));
	if (!at.size || at.size > KVMI_PAGE || at.gpa % KVMI_PAGE + at.size > KVMI_PAGE) {
		reply(r, KVMI_EINVAL, NULL, 0);
	} else if (!is_memory(at.gpa, at.size)) {
		reply(r, KVMI_ENOENT, NULL, 0);
	} else if (write) {
		memcpy(r->p->memory + at.gpa, r->payload + sizeof(at), at.size);
		reply(r, 0, NULL, 0);
	} else {
		reply(r, 0, r->p->memory + at.gpa, at.size);
	}
}

static void pause_vcpu(const struct request *r)
{
	uint16_t vcpu;

	memcpy(&vcpu, r->payload, sizeof(vcpu));
	if (vcpu >= PEER_VCPUS || r->p->vcpu[vcpu].asleep) {
		reply(r, vcpu >= PEER_VCPUS ? KVMI_EINVAL : KVMI_EAGAIN, NULL, 0);
		return;
	}
	r->p->vcpu[vcpu].pauses++;
	reply(r, 0, NULL, 0);
}

static void set_page_access(const struct request *r)
{
	bool v7 = r->p->generation == KVMI_V7;
	struct kvmi_v7_page_access head;
	struct kvmi_page_access_entry e;
	uint16_t count;
	int err = 0;

	memcpy(&head, r->payload, sizeof(head));
	count = v7 ? head.count : head.view;
	for (size_t i = 0; i < count; i++) {
		memcpy(&e, r->payload + sizeof(head) + i * sizeof(e), sizeof(e));
		if (!is_memory(e.gpa, KVMI_PAGE) || e.access > 7)
			err = KVMI_EINVAL;
		else if (!v7 || !head.view)
			r->p->access[e.gpa / KVMI_PAGE] = e.access;
	}
	reply(r, err, NULL, 0);
}

static void get_registers(const struct request *r, const uint8_t *arguments)
{
	struct {
		struct kvmi_registers_reply all;
		struct kvmi_msr msr[1];
	} m = { .all.mode = 8, .all.gprs = r->v->gprs };
	struct kvmi_get_registers get;

	memcpy(&get, arguments, sizeof(get));
	m.all.sregs.cr0 = 0x80000011;
	m.all.msrs = get.msrs;
	if (get.msrs)
		memcpy(&m.msr[0].index, arguments + sizeof(get), sizeof(m.msr[0].index));
	m.msr[0].value = m.msr[0].index * UINT64_C(3);
	reply(r, m.msr[0].index == 0xffffffff || get.msrs > 1 ? KVMI_EINVAL : 0, &m,
	      sizeof(m.all) + get.msrs * sizeof(m.msr[0]));
}

static void set_registers(const struct request *r, const uint8_t *arguments)
{
	if (r->v->waits) {
		memcpy(&r->v->next, arguments, sizeof(r->v->next));
		r->v->has_next = true;
	}
	reply(r, r->v->waits ? 0 : KVMI_EOPNOTSUPP, NULL, 0);
}

static void control_events(const struct request *r, const uint8_t *arguments)
{
	struct kvmi_control_events c;
	int event;

	memcpy(&c, arguments, sizeof(c));
	event = event_of(r->p, c.event);
	if (event >= 0)
		r->v->events = (r->v->events & ~(1u << event)) | (uint32_t)c.enable << event;
	reply(r, event < 0 ? KVMI_EINVAL : 0, NULL, 0);
}

static void control_cr(const struct request *r, const uint8_t *a)
{
	bool v7 = r->p->generation == KVMI_V7;
	unsigned cr = v7 ? a[4] : a[0], enable = v7 ? a[0] : a[1];

	r->v->crs = (r->v->crs & ~(1u << cr)) | enable << cr;
	reply(r, 0, NULL, 0);
}

static void inject(const struct request *r, const uint8_t *a)
{
	if (r->v->trap || (r->p->generation == KVMI_V12 && r->v->step)) {
		reply(r, KVMI_EBUSY, NULL, 0);
		return;
	}
	r->v->trap = true;
	r->v->vector = a[0];
	reply(r, 0, NULL, 0);
}

/* v7: as the first kernels of it, or the later. */
static void change_gfn(const struct request *r, const uint8_t *arguments)
{
	struct kvmi_v7_change_gfn_in_view later;
	struct kvmi_v7_change_gfn first;
	struct peer_remap now;
	int err;

	memcpy(&first, arguments, sizeof(first));
	memcpy(&later, arguments, sizeof(later));
	now = r->p->later ? (struct peer_remap){ later.view, later.old_gfn, later.new_gfn } :
			    (struct peer_remap){ r->v->view, first.old_gfn, first.new_gfn };
	if (now.target == KVMI_UNMAPPED)
		err = KVMI_EPERM;
	else
		err = is_memory(now.gfn << 12, 1) && is_memory(now.target << 12, 1) &&
		      now.gfn < PEER_MEMORY && now.target < PEER_MEMORY ? 0 : KVMI_EINVAL;
	if (!err)
		r->p->remap[now.view % KVMI_V7_VIEWS] = now;
	reply(r, err, NULL, 0);
}

static void to_vcpu(const struct request *r, enum kvmi_command command)
{
	static const uint8_t xsave[KVMI_XSAVE] = { 0x7f, 3 };
	static const struct kvmi_cpuid_reply cpuid = { 0xd, 0x756e6547, 0x6c65746e, 0x49656e69 };
	const struct kvmi_xcr_reply xcr0 = { 7 };
	const uint8_t *a = r->payload + sizeof(struct kvmi_vcpu);

	switch (command) {
	case KVMI_VCPU_CONTROL_EVENTS:	control_events(r, a); return;
	case KVMI_GET_REGISTERS:	get_registers(r, a); return;
	case KVMI_SET_REGISTERS:	set_registers(r, a); return;
	case KVMI_CONTROL_CR:		control_cr(r, a); return;
	case KVMI_INJECT_EXCEPTION:	inject(r, a); return;
	case KVMI_GET_XCR:		reply(r, 0, &xcr0, sizeof(xcr0)); return;
	case KVMI_GET_XSAVE:		reply(r, 0, xsave, sizeof(xsave)); return;
	case KVMI_GET_CPUID:		reply(r, 0, &cpuid, sizeof(cpuid)); return;
	case KVMI_CHANGE_GFN:		change_gfn(r, a); return;
	case KVMI_CONTROL_MSR:
		r->v->msrs += a[0] ? 1u : -1u;
		break;
	case KVMI_CONTROL_SINGLESTEP:
		r->v->unstepped += r->v->step && !a[0] && !r->v->waits;
		r->v->step = a[0];
		break;
	case KVMI_SET_EPT_VIEW:
		r->v->view = a[0];
		break;
	case KVMI_SET_XSAVE:
		break;
	default:
		reply(r, KVMI_ENOSYS, NULL, 0);
		return;
	}
	reply(r, 0, NULL, 0);
}

static bool is_vcpus(enum kvmi_command command)
{
	static const enum kvmi_class classes[] = {
#define CLASS(NAME, class, v7, v12) class,
		KVMI_COMMANDS(CLASS)
	};

	return classes[command] == KVMI_VCPU;
}

void peer_command(struct peer *p, const struct kvmi_header *header, const uint8_t *payload)
{
	const struct kvmi_info_reply info = { .vcpus = p->vcpus ? p->vcpus : PEER_VCPUS };
	const struct kvmi_v7_number_reply max = { PEER_MEMORY / KVMI_PAGE };
	struct request r = { p, header, payload, &p->vcpu[payload[0] % PEER_VCPUS] };
	int command = command_of(p, header->id);

	if (command >= 0 && p->refused >> command & 1) {
		reply(&r, KVMI_EINVAL, NULL, 0);
		return;
	}
	if (command >= 0 && is_vcpus(command)) {
		if (r.v->asleep)
			reply(&r, KVMI_EAGAIN, NULL, 0);
		else if (!p->mute)
			to_vcpu(&r, command);
		return;
	}
	switch (command) {
	case KVMI_GET_VERSION:		get_version(&r); return;
	case KVMI_CHECK_COMMAND:	check(&r, false); return;
	case KVMI_CHECK_EVENT:		check(&r, true); return;
	case KVMI_GET_INFO:		reply(&r, 0, &info, sizeof(info)); return;
	case KVMI_GET_MAX_GFN:		reply(&r, 0, &max, sizeof(max)); return;
	case KVMI_READ_PHYSICAL:	physical(&r, false); return;
	case KVMI_WRITE_PHYSICAL:	physical(&r, true); return;
	case KVMI_PAUSE:		pause_vcpu(&r); return;
	case KVMI_SET_PAGE_ACCESS:	set_page_access(&r); return;
	case KVMI_VM_CONTROL_EVENTS:	reply(&r, 0, NULL, 0); return;
	default:			reply(&r, KVMI_ENOSYS, NULL, 0); return;
	}
}
