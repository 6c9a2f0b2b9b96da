/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each command answers, right and wrong: the lengths and errors of a kernel. */
#include <string.h>

#include "tool.h"

static int unknown(struct tool *t)
{
	struct message m;

	DO(tool_send(t, 0xffff, 0, NULL, 0));
	EXPECT(t, KVMI_ENOSYS, tool_wait(t, 0xffff, 0, &m));
	if (t->generation == KVMI_V7)
		return 0;
	/* Events are not commands, and go the other way. */
	DO(tool_send(t, KVMI_V12_VM_EVENT, 7, NULL, 0));
	DO(tool_read(t, &m));
	CHECK(t, m.header.id == KVMI_V12_VM_EVENT && m.header.seq == 7 && m.header.size == 8 &&
	      (int8_t)m.payload[0] == (int8_t)-KVMI_ENOSYS, "id %u, %u bytes", m.header.id, m.header.size);
	return 0;
}

static int version(struct tool *t)
{
	struct message m;
	const struct kvmi_v12_version_reply *v12;
	const struct kvmi_v7_version_reply *v7;

	EXPECT(t, 0, tool_call(t, KVMI_GET_VERSION, NULL, 0, &m));
	v12 = tool_data(&m, sizeof(*v12));
	v7 = (const void *)v12;
	CHECK(t, v12 && v12->version == 1, "not version 1, or %u bytes", m.header.size);
	if (t->generation == KVMI_V12)
		CHECK(t, v12->max_message == KVMI_PAYLOAD_MOST && v12->singlestep == 1,
		      "messages of %u, step %u", v12->max_message, v12->singlestep);
	else
		CHECK(t, !v7->pad && v7->eptp == 1 && v7->singlestep == 1 && !v7->ve && !v7->spp,
		      "pad %u", v7->pad);
	/* More than the command has is ignored. */
	EXPECT(t, 0, tool_call(t, KVMI_GET_VERSION, "surplus", 7, &m));
	return 0;
}

static int check_one(struct tool *t, enum kvmi_command what, uint16_t id, int err)
{
	const struct kvmi_check c = { .id = id };

	EXPECT(t, err, tool_call(t, what, &c, sizeof(c), NULL));
	return 0;
}

static int check(struct tool *t)
{
	const struct kvmi_check padded = { .id = tool_id(t, KVMI_GET_INFO), .pad2 = 1 };
	bool v12 = t->generation == KVMI_V12;
	uint16_t id = tool_id(t, KVMI_GET_INFO);

	DO(check_one(t, KVMI_CHECK_COMMAND, id, 0));
	DO(check_one(t, KVMI_CHECK_COMMAND, 0xffff, v12 ? KVMI_ENOENT : KVMI_EINVAL));
	DO(check_one(t, KVMI_CHECK_COMMAND, 0, v12 ? KVMI_ENOENT : KVMI_EPERM));
	DO(check_one(t, KVMI_CHECK_COMMAND, 1, v12 ? KVMI_ENOENT : KVMI_EPERM));
	DO(check_one(t, KVMI_CHECK_EVENT, tool_event_id(t, KVMI_EVENT_PF), 0));
	DO(check_one(t, KVMI_CHECK_EVENT, 0xffff, v12 ? KVMI_ENOENT : KVMI_EINVAL));
	if (v12)
		DO(check_one(t, KVMI_CHECK_EVENT, 2, KVMI_ENOENT));
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_CHECK_COMMAND, &padded, sizeof(padded), NULL));
	if (!v12)
		return 0;
	/* A short one is filled up with zeros. */
	EXPECT(t, 0, tool_call(t, KVMI_CHECK_COMMAND, &id, sizeof(id), NULL));
	EXPECT(t, KVMI_ENOENT, tool_call(t, KVMI_CHECK_COMMAND, NULL, 0, NULL));
	return 0;
}

static int vm_events(struct tool *t)
{
	struct kvmi_control_events c = { .event = tool_event_id(t, KVMI_EVENT_UNHOOK), .enable = 1 };

	EXPECT(t, 0, tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	c.enable = 0;
	EXPECT(t, 0, tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	c.enable = 2;
	EXPECT(t, t->generation == KVMI_V12 ? KVMI_EINVAL : 0,
	       tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	c = (struct kvmi_control_events){ .event = 0xffff, .enable = 1 };
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	c.event = tool_event_id(t, KVMI_EVENT_CR);
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	return 0;
}

static int read_error(struct tool *t, uint64_t gpa, uint64_t size, int err)
{
	const struct kvmi_physical p = { .gpa = gpa, .size = size };

	EXPECT(t, err, tool_call(t, KVMI_READ_PHYSICAL, &p, sizeof(p), NULL));
	return 0;
}

static int memory(struct tool *t)
{
	uint8_t page[KVMI_PAGE], back[KVMI_PAGE];
	uint64_t gpa = t->probe.scratch;
	const struct {
		struct kvmi_physical p;
		uint8_t data;
	} nowhere = { { .gpa = PROBE_NOWHERE, .size = 1 }, 1 }, none = { { .gpa = gpa }, 1 };

	memset(page, 1, sizeof(page));
	DO(tool_poke(t, gpa, page, sizeof(page)));
	DO(tool_peek(t, gpa, back, sizeof(back)));
	CHECK(t, memcmp(page, back, sizeof(page)) == 0, "not what was written");
	memset(page, 0, sizeof(page));
	DO(tool_poke(t, gpa, page, sizeof(page)));
	DO(tool_peek(t, gpa + 4095, back, 1));
	DO(read_error(t, gpa, 0, KVMI_EINVAL));
	DO(read_error(t, gpa, 4097, KVMI_EINVAL));
	DO(read_error(t, gpa + 1, 4096, KVMI_EINVAL));
	DO(read_error(t, PROBE_NOWHERE, 1, KVMI_ENOENT));
	DO(read_error(t, UINT64_MAX, 1, KVMI_ENOENT));
	/* ROM has no page that a kernel could look up for writing. */
	DO(read_error(t, 0xfffff000, 1, KVMI_ENOENT));
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_WRITE_PHYSICAL, &none, sizeof(none.p), NULL));
	EXPECT(t, KVMI_ENOENT, tool_call(t, KVMI_WRITE_PHYSICAL, &nowhere, sizeof(none.p) + 1, NULL));
	return 0;
}

static int vcpu_info(struct tool *t)
{
	struct kvmi_vcpu header = { .vcpu = 0x63 };
	struct message m;

	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_VCPU_GET_INFO, NULL, 0, &m));
	CHECK(t, tool_data(&m, 8), "%u bytes", m.header.size);
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_VCPU_GET_INFO, &header, sizeof(header), NULL));
	if (t->generation == KVMI_V7)
		return 0;
	header = (struct kvmi_vcpu){ .pad = 1 };
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_VCPU_GET_INFO, &header, sizeof(header), NULL));
	return 0;
}

static int vcpu_events(struct tool *t)
{
	struct kvmi_control_events c = { .event = tool_event_id(t, KVMI_EVENT_PAUSE), .enable = 1 };

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_PAUSE, true));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_PAUSE, false));
	EXPECT(t, KVMI_EINVAL, tool_control(t, 0, KVMI_EVENT_UNHOOK, true));
	c.enable = 2;
	EXPECT(t, t->generation == KVMI_V12 ? KVMI_EINVAL : 0,
	       tool_vcpu(t, 0, KVMI_VCPU_CONTROL_EVENTS, &c, sizeof(c), NULL));
	c = (struct kvmi_control_events){ .event = 0xffff, .enable = 1 };
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_VCPU_CONTROL_EVENTS, &c, sizeof(c), NULL));
	return 0;
}

static int registers(struct tool *t)
{
	struct {
		struct kvmi_get_registers head;
		uint32_t index[2];
	} g = { .head.msrs = 2, .index = { 0xc0000080, 0x277 } };
	const struct kvmi_registers_reply *r;
	const struct kvmi_msr *msr;
	struct message m;

	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_REGISTERS, &g, sizeof(g), &m));
	r = tool_data(&m, sizeof(*r) + 2 * sizeof(*msr));
	CHECK(t, r, "%u bytes", m.header.size);
	msr = (const void *)(r + 1);
	CHECK(t, r->mode == 8 && r->msrs == 2, "mode %u, %u MSRs", r->mode, r->msrs);
	CHECK(t, r->sregs.cr0 == t->probe.cr0 && r->sregs.efer == t->probe.efer &&
	      r->gprs.rip - t->probe.text < t->probe.text_size, "cr0 %#llx, efer %#llx, rip %#llx",
	      (unsigned long long)r->sregs.cr0, (unsigned long long)r->sregs.efer,
	      (unsigned long long)r->gprs.rip);
	CHECK(t, r->sregs.cs.present == 1 && r->sregs.cs.l == 1 && r->sregs.cs.selector == PROBE_SEL_CODE,
	      "a code segment that is none");
	CHECK(t, msr[0].index == 0xc0000080 && msr[0].value == t->probe.efer && msr[1].index == 0x277,
	      "other MSRs");
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_GET_REGISTERS, &g, sizeof(g) - 4, NULL));
	g.index[1] = 0xffffffff;
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_GET_REGISTERS, &g, sizeof(g), NULL));
	g.head.msrs = 0;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_REGISTERS, &g, sizeof(g.head), &m));
	CHECK(t, tool_data(&m, sizeof(*r)), "%u bytes without MSRs", m.header.size);
	/* Not while nothing waits. */
	EXPECT(t, KVMI_EOPNOTSUPP, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &r->gprs, sizeof(r->gprs), NULL));
	return 0;
}

static int too_many_msrs(struct tool *t)
{
	struct {
		struct kvmi_get_registers head;
		uint32_t index[KVMI_MSRS_MOST + 1];
	} g = { .head.msrs = KVMI_MSRS_MOST };
	struct message m;

	for (unsigned i = 0; i <= KVMI_MSRS_MOST; i++)
		g.index[i] = 0xc0000080;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_REGISTERS, &g, sizeof(g), &m));
	CHECK(t, m.header.size == 8 + 472 + 16 * KVMI_MSRS_MOST, "%u bytes", m.header.size);
	g.head.msrs++;
	EXPECT(t, t->generation == KVMI_V12 ? KVMI_EINVAL : KVMI_ENOMEM,
	       tool_vcpu(t, 0, KVMI_GET_REGISTERS, &g, sizeof(g), NULL));
	return 0;
}

static int cpuid(struct tool *t)
{
	struct kvmi_cpuid c = { .leaf = 0 };
	const struct kvmi_cpuid_reply *r;
	struct probe_op op = OP(CPUID);
	struct message m;

	DO(guest_start(t, 0, &op, 1, 1));
	DO(guest_wait(t, 0, &op));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_CPUID, &c, sizeof(c), &m));
	r = tool_data(&m, sizeof(*r));
	CHECK(t, r && r->eax == op.out[0] && r->ebx == op.out[1] && r->ecx == op.out[2] &&
	      r->edx == op.out[3], "not what the guest sees");
	c.leaf = 0x3fffffff;
	EXPECT(t, KVMI_ENOENT, tool_vcpu(t, 0, KVMI_GET_CPUID, &c, sizeof(c), NULL));
	c.leaf = 0x8fffffff;
	EXPECT(t, KVMI_ENOENT, tool_vcpu(t, 0, KVMI_GET_CPUID, &c, sizeof(c), NULL));
	return 0;
}

static int control(struct tool *t)
{
	const struct kvmi_v12_control_cr wrong = { .cr = 4, .enable = 2 };

	EXPECT(t, 0, tool_cr(t, 0, 4, true));
	EXPECT(t, 0, tool_cr(t, 0, 4, false));
	EXPECT(t, KVMI_EINVAL, tool_cr(t, 0, 0x63, true));
	EXPECT(t, KVMI_EINVAL, tool_cr(t, 0, 8, true));
	EXPECT(t, 0, tool_msr(t, 0, 0x174, true));
	EXPECT(t, 0, tool_msr(t, 0, 0x174, false));
	EXPECT(t, 0, tool_msr(t, 0, 0xc0000082, true));
	EXPECT(t, 0, tool_msr(t, 0, 0xc0000082, false));
	EXPECT(t, KVMI_EINVAL, tool_msr(t, 0, 0xffffffff, true));
	EXPECT(t, KVMI_EINVAL, tool_msr(t, 0, 0x2000, true));
	EXPECT(t, KVMI_EINVAL, tool_msr(t, 0, 0xc0002000, true));
	if (t->generation == KVMI_V12)
		EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_CONTROL_CR, &wrong, sizeof(wrong), NULL));
	return 0;
}

static int xsave(struct tool *t)
{
	struct kvmi_get_xcr xcr = { .xcr = 0 };
	const uint64_t *value;
	uint8_t area[KVMI_XSAVE];
	struct message m;

	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_XCR, &xcr, sizeof(xcr), &m));
	value = tool_data(&m, sizeof(*value));
	CHECK(t, value && *value == t->probe.xcr0, "another XCR0");
	xcr.xcr = 1;
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_GET_XCR, &xcr, sizeof(xcr), NULL));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_XSAVE, NULL, 0, &m));
	CHECK(t, tool_data(&m, sizeof(area)), "%u bytes of XSAVE", m.header.size);
	memcpy(area, tool_data(&m, sizeof(area)), sizeof(area));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_XSAVE, area, sizeof(area), NULL));
	area[24 + 3] = 0xff;	/* reserved bits of MXCSR */
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_SET_XSAVE, area, sizeof(area), NULL));
	if (t->generation == KVMI_V12)
		EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_SET_XSAVE, area, 4095, NULL));
	return 0;
}

static int translate(struct tool *t)
{
	struct kvmi_translate gva = { .gva = t->probe.scratch + 5 };
	const struct kvmi_translate_reply *r;
	struct kvmi_mtrr mtrr = { .gpa = t->probe.scratch };
	struct message m;

	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_TRANSLATE_GVA, &gva, sizeof(gva), &m));
	r = tool_data(&m, sizeof(*r));
	CHECK(t, r && r->gpa == gva.gva, "not the identity");
	gva.gva = UINT64_MAX;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_TRANSLATE_GVA, &gva, sizeof(gva), &m));
	r = tool_data(&m, sizeof(*r));
	CHECK(t, r && r->gpa == KVMI_UNMAPPED, "%#llx where nothing is",
	      (unsigned long long)(r ? r->gpa : 0));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_MTRR_TYPE, &mtrr, sizeof(mtrr), &m));
	CHECK(t, tool_data(&m, 8) && *(const uint64_t *)tool_data(&m, 8) <= 6, "no memory type");
	return 0;
}

static int page_access(struct tool *t)
{
	struct {
		struct kvmi_v12_page_access head;
		struct kvmi_page_access_entry entry[2];
	} a = { .head.count = 2, .entry = { { .gpa = t->probe.scratch, .access = 8 },
					    { .gpa = t->probe.scratch, .access = 7 } } };
	struct kvmi_v7_page_access *head7 = (void *)&a.head;
	size_t size = sizeof(a);

	if (t->generation == KVMI_V7)
		*head7 = (struct kvmi_v7_page_access){ .count = 2 };
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_SET_PAGE_ACCESS, &a, size, NULL));
	a.entry[0].access = 5;
	EXPECT(t, 0, tool_call(t, KVMI_SET_PAGE_ACCESS, &a, size, NULL));
	a.entry[1].pad[6] = 1;
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_SET_PAGE_ACCESS, &a, size, NULL));
	a.entry[1].pad[6] = 0;
	a.entry[1].gpa = PROBE_NOWHERE;
	EXPECT(t, t->generation == KVMI_V12 ? KVMI_EINVAL : 0,
	       tool_call(t, KVMI_SET_PAGE_ACCESS, &a, size, NULL));
	if (t->generation == KVMI_V12)
		a.head.count = 0;
	else
		head7->count = 0;
	EXPECT(t, 0, tool_call(t, KVMI_SET_PAGE_ACCESS, &a, size, NULL));
	EXPECT(t, 0, tool_access(t, 0, t->probe.scratch, 7));
	if (t->generation == KVMI_V7)
		EXPECT(t, KVMI_EINVAL, tool_access(t, 3, t->probe.scratch, 7));
	return 0;
}

static int cleanup(struct tool *t)
{
	struct kvmi_control_cleanup c = { .enable = 0 };

	EXPECT(t, 0, tool_call(t, KVMI_CONTROL_CLEANUP, &c, sizeof(c), NULL));
	c.enable = 2;
	EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_CONTROL_CLEANUP, &c, sizeof(c), NULL));
	return 0;
}

static int v7_only(struct tool *t)
{
	struct kvmi_v7_view v = { .view = 3 };
	struct kvmi_v7_control_view control = { .view = 1 };
	struct kvmi_v7_change_gfn change = { .old_gfn = 1, .new_gfn = UINT64_MAX };
	const uint64_t *value;
	struct message m;

	EXPECT(t, 0, tool_call(t, KVMI_GET_MAX_GFN, NULL, 0, &m));
	value = tool_data(&m, sizeof(*value));
	CHECK(t, value && *value == 0x100000, "%#llx", (unsigned long long)(value ? *value : 0));
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_SET_EPT_VIEW, &v, sizeof(v), NULL));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_EPT_VIEW, NULL, 0, &m));
	value = tool_data(&m, sizeof(*value));
	CHECK(t, value && !*value, "not in view 0");
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_CONTROL_EPT_VIEW, &control, sizeof(control), NULL));
	control.visible = 1;
	EXPECT(t, KVMI_EOPNOTSUPP,
	       tool_vcpu(t, 0, KVMI_CONTROL_EPT_VIEW, &control, sizeof(control), NULL));
	EXPECT(t, KVMI_EPERM, tool_vcpu(t, 0, KVMI_CHANGE_GFN, &change, sizeof(change), NULL));
	change.new_gfn = PROBE_NOWHERE >> 12;
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_CHANGE_GFN, &change, sizeof(change), NULL));
	EXPECT(t, KVMI_EOPNOTSUPP, tool_call(t, KVMI_CONTROL_SPP, NULL, 0, NULL));
	EXPECT(t, KVMI_EOPNOTSUPP, tool_call(t, KVMI_GET_MAP_TOKEN, NULL, 0, NULL));
	EXPECT(t, KVMI_EPERM, tool_call(t, KVMI_SET_PAGE_WRITE_BITMAP, NULL, 0, NULL));
	EXPECT(t, KVMI_ENOSYS, tool_call(t, KVMI_QUERY_PHYSICAL, NULL, 0, NULL));
	return 0;
}

const struct test tests_commands[] = {
	{ "unknown", unknown, true, true },
	{ "version", version, true, true },
	{ "check", check, true, true },
	{ "vm-events", vm_events, true, true },
	{ "memory", memory, true, true },
	{ "vcpu-info", vcpu_info, true, true },
	{ "vcpu-events", vcpu_events, true, true },
	{ "registers", registers, true, true },
	{ "too-many-msrs", too_many_msrs, true, true },
	{ "cpuid", cpuid, true, true },
	{ "control", control, true, true },
	{ "xsave", xsave, true, true },
	{ "translate", translate, true, true },
	{ "page-access", page_access, true, true },
	{ "cleanup", cleanup, false, true },
	{ "v7-only", v7_only, true, false },
	{ NULL, NULL, false, false },
};
