/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every message of a real kernel and its tester: those to it made, those from it taken apart. */
#include <stdlib.h>

#include "../lib/test.h"
#include "golden.h"
#include "lib/drivers/kvmi/wire.h"

/* Fields of requests and of replies, where the file names them. */
static const struct field {
	const char *command, *name;
	size_t offset, size;
} fields[] = {
#define FIELD(command, name, type, field) \
	{ command, name, offsetof(type, field), sizeof(((type *)0)->field) }
	FIELD("CHECK_COMMAND", "id", struct kvmi_check, id),
	FIELD("CHECK_EVENT", "id", struct kvmi_check, id),
	FIELD("VM_CONTROL_EVENTS", "event", struct kvmi_control_events, event),
	FIELD("VM_CONTROL_EVENTS", "enable", struct kvmi_control_events, enable),
	FIELD("VCPU_CONTROL_EVENTS", "event", struct kvmi_control_events, event),
	FIELD("VCPU_CONTROL_EVENTS", "enable", struct kvmi_control_events, enable),
	FIELD("READ_PHYSICAL", "gpa", struct kvmi_physical, gpa),
	FIELD("READ_PHYSICAL", "size", struct kvmi_physical, size),
	FIELD("WRITE_PHYSICAL", "gpa", struct kvmi_physical, gpa),
	FIELD("WRITE_PHYSICAL", "size", struct kvmi_physical, size),
	FIELD("PAUSE", "vcpu", struct kvmi_v12_pause, vcpu),
	FIELD("PAUSE", "wait", struct kvmi_v12_pause, wait),
	FIELD("SET_PAGE_ACCESS", "count", struct kvmi_v12_page_access, count),
	{ "SET_PAGE_ACCESS", "gpa", 8 + offsetof(struct kvmi_page_access_entry, gpa), 8 },
	{ "SET_PAGE_ACCESS", "access", 8 + offsetof(struct kvmi_page_access_entry, access), 1 },
	FIELD("GET_REGISTERS", "msrs", struct kvmi_get_registers, msrs),
	{ "GET_REGISTERS", "msr", sizeof(struct kvmi_get_registers), 4 },
	FIELD("GET_CPUID", "leaf", struct kvmi_cpuid, leaf),
	FIELD("GET_CPUID", "subleaf", struct kvmi_cpuid, subleaf),
	FIELD("CONTROL_CR", "cr", struct kvmi_v12_control_cr, cr),
	FIELD("CONTROL_CR", "enable", struct kvmi_v12_control_cr, enable),
	FIELD("GET_XCR", "xcr", struct kvmi_get_xcr, xcr),
	FIELD("GET_MTRR_TYPE", "gpa", struct kvmi_mtrr, gpa),
	FIELD("CONTROL_MSR", "enable", struct kvmi_control_msr, enable),
	FIELD("CONTROL_MSR", "msr", struct kvmi_control_msr, msr),
	FIELD("CONTROL_SINGLESTEP", "enable", struct kvmi_singlestep, enable),
	FIELD("TRANSLATE_GVA", "gva", struct kvmi_translate, gva),
}, reply_fields[] = {
	FIELD("GET_VERSION", "version", struct kvmi_v12_version_reply, version),
	FIELD("GET_VERSION", "max_message", struct kvmi_v12_version_reply, max_message),
	FIELD("GET_VERSION", "singlestep", struct kvmi_v12_version_reply, singlestep),
	FIELD("GET_INFO", "vcpus", struct kvmi_info_reply, vcpus),
	FIELD("VCPU_GET_INFO", "tsc_hz", struct kvmi_vcpu_info_reply, tsc_hz),
	FIELD("GET_CPUID", "eax", struct kvmi_cpuid_reply, eax),
	FIELD("GET_CPUID", "ebx", struct kvmi_cpuid_reply, ebx),
	FIELD("GET_CPUID", "ecx", struct kvmi_cpuid_reply, ecx),
	FIELD("GET_CPUID", "edx", struct kvmi_cpuid_reply, edx),
	FIELD("GET_XCR", "value", struct kvmi_xcr_reply, value),
	FIELD("GET_MTRR_TYPE", "type", struct kvmi_mtrr_reply, type),
	FIELD("TRANSLATE_GVA", "gpa", struct kvmi_translate_reply, gpa),
	FIELD("GET_REGISTERS", "mode", struct kvmi_registers_reply, mode),
	FIELD("GET_REGISTERS", "rip", struct kvmi_registers_reply, gprs.rip),
	FIELD("GET_REGISTERS", "rflags", struct kvmi_registers_reply, gprs.rflags),
	FIELD("GET_REGISTERS", "cr0", struct kvmi_registers_reply, sregs.cr0),
	FIELD("GET_REGISTERS", "cr3", struct kvmi_registers_reply, sregs.cr3),
	FIELD("GET_REGISTERS", "cr4", struct kvmi_registers_reply, sregs.cr4),
	FIELD("GET_REGISTERS", "msrs", struct kvmi_registers_reply, msrs),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const bool is_vcpus[] = {
#define IS_VCPUS(NAME, class, v7, v12) (class) == KVMI_VCPU,
	KVMI_COMMANDS(IS_VCPUS)
};

static int find_command(const char *name)
{
	for (int i = 0; i < KVMI_COMMAND_COUNT; i++)
		if (!strcmp(kvmi_command_name(i), name))
			return i;
	return -1;
}

/* The request's fields, as far as the text has them; their size. */
static size_t fill(const struct golden *g, const char *name, uint8_t *request, size_t most)
{
	size_t size = 0;

	memset(request, 0, most);
	for (size_t i = 0; i < COUNT(fields); i++) {
		const struct field *f = &fields[i];
		size_t end = (f->offset + f->size + 7) / 8 * 8;
		uint64_t value;
		int found;

		if (strcmp(f->command, name))
			continue;
		value = golden_value(g, f->name, &found);
		if (!found)
			continue;
		memcpy(request + f->offset, &value, f->size);
		/* An index of an MSR is not padded. */
		if (!strcmp(f->name, "msr") && !strcmp(name, "GET_REGISTERS"))
			end = f->offset + f->size;
		size = end > size ? end : size;
	}
	return size;
}

/* The calls that the driver has functions for come out the same. */
static void check_own(const struct golden *g, enum kvmi_command command, const struct kvmi_call *c)
{
	unsigned vcpu = (unsigned)golden_value(g, "vcpu", NULL);
	bool enable = golden_value(g, "enable", NULL);
	struct kvmi_page_access_entry entry = { .gpa = golden_value(g, "gpa", NULL),
						.access = (uint8_t)golden_value(g, "access", NULL) };
	struct kvmi_call own;

	if (golden_value(g, "enable", NULL) > 1)
		return;
	if (command == KVMI_PAUSE && golden_value(g, "wait", NULL) == 1)
		own = kvmi_pause_call(KVMI_V12, vcpu);
	else if (command == KVMI_CONTROL_CR)
		own = kvmi_cr_call(KVMI_V12, vcpu, (unsigned)golden_value(g, "cr", NULL), enable);
	else if (command == KVMI_CONTROL_MSR)
		own = kvmi_msr_call(vcpu, (uint32_t)golden_value(g, "msr", NULL), enable);
	else if (command == KVMI_CONTROL_SINGLESTEP)
		own = kvmi_step_call(vcpu, enable);
	else if (command == KVMI_SET_PAGE_ACCESS)
		own = kvmi_access_call(KVMI_V12, 0, &entry, 1);
	else
		return;
	assert_memory_equal(own.head, c->head, own.head_len);
	assert_int_equal(own.head_len + own.data_len, c->head_len);
	if (own.data_len)
		assert_memory_equal(own.data, c->head + own.head_len, own.data_len);
}

static void check_command(const struct golden *g, const char *name)
{
	int command = find_command(name);
	size_t size, data = golden_value(g, "data", NULL);
	struct kvmi_header header;
	struct kvmi_call call;
	uint8_t request[64];

	assert_true(command >= 0);
	size = fill(g, name, request, sizeof(request));
	call = is_vcpus[command] ?
		kvmi_vcpu_call(command, (unsigned)golden_value(g, "vcpu", NULL), request, size) :
		kvmi_vm_call(command, request, size);
	call.data_len = data;
	kvmi_call_header(KVMI_V12, &call, (uint32_t)golden_value(g, "seq", NULL), &header);
	assert_int_equal(sizeof(header) + call.head_len + data, g->len);
	assert_memory_equal(g->bytes, &header, sizeof(header));
	assert_memory_equal(g->bytes + sizeof(header), call.head, call.head_len);
	check_own(g, command, &call);
}

/* What the text says of the reply must be what is found in it. */
static void check_reply(const struct golden *g, const char *name)
{
	static uint8_t data[KVMI_PAYLOAD_MOST];
	int command = find_command(name);
	struct kvmi_call call = { .command = command >= 0 ? command : 0, .reply = data,
				  .reply_max = sizeof(data) };
	struct kvmi_header header;

	memcpy(&header, g->bytes, sizeof(header));
	assert_int_equal(header.size + sizeof(header), g->len);
	assert_int_equal(header.seq, golden_value(g, "seq", NULL));
	if (command >= 0)
		assert_int_equal(header.id, kvmi_command_id(KVMI_V12, command));
	assert_false(kvmi_is_event(KVMI_V12, header.id));
	assert_true(kvmi_take_reply(&call, g->bytes + sizeof(header), header.size));
	assert_int_equal(call.err, golden_value(g, "err", NULL));
	for (size_t i = 0; i < COUNT(reply_fields); i++) {
		const struct field *f = &reply_fields[i];
		uint64_t value = 0;

		if (call.err || strcmp(f->command, name))
			continue;
		memcpy(&value, data + f->offset, f->size);
		assert_int_equal(value, golden_value(g, f->name, NULL));
	}
	if (golden_value(g, "data", NULL))
		assert_int_equal(call.reply_len, golden_value(g, "data", NULL));
}

/* As the file writes it. */
static void print_event(const struct kvmi_occurrence *o, char *text, size_t size)
{
#define NUMBER(x) ((unsigned long long)(x))
	size_t n = (size_t)snprintf(text, size, "event %s seq=0x%x", kvmi_event_name(o->event),
				    o->seq);

	if (o->event == KVMI_EVENT_UNHOOK)
		return;
	n += (size_t)snprintf(text + n, size - n, " vcpu=0x%x rip=0x%llx cr3=0x%llx", o->vcpu,
			      NUMBER(o->arch.gprs.rip), NUMBER(o->arch.sregs.cr3));
	if (o->event == KVMI_EVENT_CR)
		snprintf(text + n, size - n, " cr=0x%x old=0x%llx new=0x%llx", o->part.cr.cr,
			 NUMBER(o->part.cr.old_value), NUMBER(o->part.cr.new_value));
	else if (o->event == KVMI_EVENT_MSR)
		snprintf(text + n, size - n, " msr=0x%x old=0x%llx new=0x%llx", o->part.msr.msr,
			 NUMBER(o->part.msr.old_value), NUMBER(o->part.msr.new_value));
	else if (o->event == KVMI_EVENT_DESCRIPTOR)
		snprintf(text + n, size - n, " descriptor=0x%x write=0x%x",
			 o->part.descriptor.descriptor, o->part.descriptor.write);
	else if (o->event == KVMI_EVENT_PF)
		snprintf(text + n, size - n, " gva=0x%llx gpa=0x%llx access=0x%x",
			 NUMBER(o->part.pf.gva), NUMBER(o->part.pf.gpa), o->part.pf.access);
}

/* The event last taken, which an answer is to. */
static struct kvmi_occurrence last;

static void check_event(const struct golden *g)
{
	struct kvmi_header header;
	char text[256];

	memcpy(&header, g->bytes, sizeof(header));
	assert_int_equal(header.size + sizeof(header), g->len);
	assert_true(kvmi_is_event(KVMI_V12, header.id));
	assert_true(kvmi_take_event(KVMI_V12, &header, g->bytes + sizeof(header), &last));
	print_event(&last, text, sizeof(text));
	assert_string_equal(text, g->text);
	/* No byte fewer would do. */
	header.size--;
	assert_false(kvmi_take_event(KVMI_V12, &header, g->bytes + sizeof(header), &last));
	header.size++;
	assert_true(kvmi_take_event(KVMI_V12, &header, g->bytes + sizeof(header), &last));
}

static void check_answer(const struct golden *g)
{
	struct kvmi_event_answer answer;
	size_t len = kvmi_make_answer(KVMI_V12, &last, golden_value(g, "action", NULL),
				      golden_value(g, "value", NULL), &answer);

	assert_int_equal(last.seq, golden_value(g, "seq", NULL));
	assert_int_equal(len, g->len);
	assert_memory_equal(&answer, g->bytes, len);
}

static void test_v12(void **state)
{
	FILE *f = fopen(getenv("GOLDEN"), "r");
	unsigned count = 0;
	struct golden g;
	int ret;

	(void)state;
	assert_non_null(f);
	while ((ret = golden_next(f, &g)) > 0) {
		char kind[16], name[40] = "";

		print_message("%s\n", g.text);
		assert_true(sscanf(g.text, "%15s %39s", kind, name) >= 1);
		if (!strcmp(kind, "command"))
			check_command(&g, name);
		else if (!strcmp(kind, "reply"))
			check_reply(&g, name);
		else if (!strcmp(kind, "event"))
			check_event(&g);
		else if (!strcmp(kind, "answer"))
			check_answer(&g);
		else
			assert_string_equal(kind, "unknown");	/* none that we would make */
		count++;
	}
	fclose(f);
	assert_int_equal(ret, 0);
	assert_int_equal(count, 165);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v12),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
