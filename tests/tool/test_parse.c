/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "../lib/test.h"
#include "common/msrname.h"
#include "common/nearest.h"
#include "common/parse.h"
#include "common/regfield.h"
#include "trace/expr.h"
#include "trace/watchexpr.h"

static void assert_size(const char *text, uint64_t want)
{
	uint64_t value = ~want;

	assert_true(parse_size(text, &value));
	assert_int_equal(value, want);
}

static void test_sizes(void **state)
{
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x", "x", "1x", "1kk", "kk", "k", "1.5k",
		"0x10000000000000000", "18446744073709551616", "16777216T", "1KiB", "0xg",
	};
	uint64_t value;

	(void)state;
	assert_size("0", 0);
	assert_size("4096", 4096);
	assert_size("010", 10);
	assert_size("0x1000", 0x1000);
	assert_size("0X1f", 0x1f);
	assert_size("4k", 4096);
	assert_size("4K", 4096);
	assert_size("2M", 2 << 20);
	assert_size("0x10k", 16384);
	assert_size("3g", UINT64_C(3) << 30);
	assert_size("16777215T", UINT64_C(16777215) << 40);
	assert_size("0xffffffffffffffff", UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_size(bad[i], &value));
	assert_false(parse_u64("4k", &value));
}

static void test_seconds(void **state)
{
	static const char *const bad[] = {
		"", "0", "-1", "1s", "1e3", "nan", "inf", "1.2.3", "99999999",
	};
	unsigned ms;

	(void)state;
	assert_true(parse_seconds("10", &ms));
	assert_int_equal(ms, 10000);
	assert_true(parse_seconds("0.5", &ms));
	assert_int_equal(ms, 500);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_seconds(bad[i], &ms));
}

static void test_hex_bytes(void **state)
{
	static const char *const bad[] = {
		"", "0x", "9", "901", "9 0", "xy", "90-c3", " ",
	};
	static const char *const good[] = { "90c3", "90 C3", "0x90c3", "90:c3", " 90\tc3\n" };
	uint8_t bytes[16];
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(parse_hex_bytes(good[i], bytes, &count));
		assert_int_equal(count, 2);
		assert_memory_equal(bytes, "\x90\xc3", 2);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_hex_bytes(bad[i], bytes, &count));
}

static void test_format_size(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(format_size(buf, sizeof(buf), 0), "0 B");
	assert_string_equal(format_size(buf, sizeof(buf), 655360), "640 KiB");
	assert_string_equal(format_size(buf, sizeof(buf), 3 << 29), "1.5 GiB");
	assert_string_equal(format_size(buf, sizeof(buf), UINT64_MAX), "16.0 EiB");
}

static void test_events(void **state)
{
	static const char *const bad[] = {
		"", "cr", "cr1", "cr3:1", "cpuid:", "cpuid:x", "cpuid:1.", "cpuid:.1",
		"cpuid:0x100000000", "msr:", "wrmsr:nosuch", "rdmsr:-1", "int:256", "int3:",
		"cpuids", "wrmsr:0x1:2", "cr9", "cr:r", "cr3:x", "dr5", "dr77", "desc:cs", "io:0x10000",
		"io:2-1", "io:1:2", "io:-", "io:1-", "hlt:r", "step:0", "step:2-1", "step:1:2", "int:x", "int:1:2", "int:nmi:1", "cpuid:1:r", "io::w", "msr:r:r:r",
		"mem:2-1", "mem:x-y", "mem:1:2", "mem:1:q", "shutdown:now", "start:0", "break:1",
	};
	struct scry_subscription subs[2];

	(void)state;
	assert_int_equal(parse_event("cr3", subs), 1);
	assert_int_equal(subs[0].kind, SCRY_EVENT_CR_WRITE);
	assert_int_equal(subs[0].cr.cr, 3);
	assert_int_equal(subs[0].sz, sizeof(subs[0]));
	assert_int_equal(parse_event("cpuid", subs), 1);
	assert_int_equal(subs[0].cpuid.use_leaf, 0);
	assert_int_equal(parse_event("cpuid:0x40000000.7", subs), 1);
	assert_int_equal(subs[0].cpuid.leaf, 0x40000000);
	assert_int_equal(subs[0].cpuid.use_subleaf, 1);
	assert_int_equal(subs[0].cpuid.subleaf, 7);
	assert_int_equal(parse_event("wrmsr:lstar", subs), 1);
	assert_int_equal(subs[0].kind, SCRY_EVENT_MSR_WRITE);
	assert_int_equal(subs[0].msr.count, 1);
	assert_int_equal(subs[0].msr.index[0], 0xc0000082);
	assert_int_equal(parse_event("msr:0x10", subs), 2);
	assert_int_equal(subs[0].kind, SCRY_EVENT_MSR_READ);
	assert_int_equal(subs[1].kind, SCRY_EVENT_MSR_WRITE);
	assert_int_equal(subs[1].msr.index[0], 0x10);
	assert_int_equal(parse_event("int3", subs), 1);
	assert_int_equal(subs[0].kind, SCRY_EVENT_INT3);
	assert_int_equal(parse_event("cr8:rw", subs), 2);
	assert_int_equal(subs[0].kind, SCRY_EVENT_CR_READ);
	assert_int_equal(subs[1].kind, SCRY_EVENT_CR_WRITE);
	assert_int_equal(subs[1].cr.cr, 8);
	assert_int_equal(parse_event("msr:lstar:w", subs), 1);
	assert_int_equal(subs[0].kind, SCRY_EVENT_MSR_WRITE);
	assert_int_equal(parse_event("dr7:r", subs), 1);
	assert_int_equal(subs[0].kind, SCRY_EVENT_DR_READ);
	assert_int_equal(subs[0].dr.mask, 0x80);
	assert_int_equal(parse_event("desc:idtr:w", subs), 1);
	assert_int_equal(subs[0].desc.tables, 1 << SCRY_TABLE_IDTR);
	assert_int_equal(subs[0].desc.access, SCRY_WRITE);
	assert_int_equal(parse_event("io:0x3f8-0x3ff:w", subs), 1);
	assert_int_equal(subs[0].io.first, 0x3f8);
	assert_int_equal(subs[0].io.last, 0x3ff);
	assert_int_equal(subs[0].io.access, SCRY_WRITE);
	assert_int_equal(parse_event("io", subs), 1);
	assert_int_equal(subs[0].io.use_range, 0);
	assert_int_equal(parse_event("int:14", subs), 1);
	assert_int_equal(subs[0].interrupt.vectors[0], 1 << 14);
	assert_int_equal(parse_event("int:nmi", subs), 1);
	assert_int_equal(subs[0].interrupt.types, 1 << SCRY_INTERRUPT_NMI);
	assert_int_equal(parse_event("step:0x1000-0x1fff", subs), 1);
	assert_int_equal(subs[0].step.last, 0x1fff);
	assert_int_equal(parse_event("step:100:noint", subs), 1);
	assert_int_equal(subs[0].step.count, 100);
	assert_int_equal(subs[0].step.block_interrupts, 1);
	assert_int_equal(parse_event("step:noint", subs), 1);
	assert_int_equal(subs[0].step.count, 0);
	assert_int_equal(parse_event("hypercall", subs), 1);
	assert_int_equal(subs[0].kind, SCRY_EVENT_HYPERCALL);
	assert_int_equal(parse_event("mem:0x1000-0x1fff:rx", subs), 1);
	assert_int_equal(subs[0].kind, SCRY_EVENT_MEMORY);
	assert_int_equal(subs[0].memory.first, 0x1000);
	assert_int_equal(subs[0].memory.last, 0x1fff);
	assert_int_equal(subs[0].memory.access, SCRY_READ | SCRY_EXEC);
	assert_int_equal(parse_event("mem:w", subs), 1);
	assert_int_equal(subs[0].memory.use_range, 0);
	assert_int_equal(subs[0].memory.access, SCRY_WRITE);
	assert_int_equal(parse_event("shutdown:triple-fault", subs), 1);
	assert_int_equal(subs[0].shutdown.types, 1 << SCRY_SHUTDOWN_TRIPLE_FAULT);
	assert_int_equal(parse_event("start", subs), 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_event(bad[i], subs), 0);
}

static void test_breakpoints(void **state)
{
	static const char *const bad[] = {
		"", "break", "break:", "break:x", "break:1:2", "break:1@", "break:@1", "break:1:phys:1",
		"cr3", "breaks:1",
	};
	struct scry_breakpoint b;

	(void)state;
	assert_true(parse_breakpoint("break:0xffffffff81000000", &b));
	assert_int_equal(b.sz, sizeof(b));
	assert_int_equal(b.address, 0xffffffff81000000);
	assert_int_equal(b.flags, 0);
	assert_true(parse_breakpoint("break:0x1000@0x6c10000", &b));
	assert_int_equal(b.cr3, 0x6c10000);
	assert_int_equal(b.flags, SCRY_BREAKPOINT_CR3);
	assert_true(parse_breakpoint("break:4096:phys", &b));
	assert_int_equal(b.address, 4096);
	assert_int_equal(b.flags, SCRY_BREAKPOINT_PHYSICAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_breakpoint(bad[i], &b));
}

static void test_watchpoints(void **state)
{
	static const char *const bad[] = {
		"", "watch", "watch:", "watch:1:r", "watch:1:rwx", "watch:1/3", "watch:1/16", "watch:1/",
		"watch:1@", "watch:@1", "watch:1:w:w", "watch:name@1", "watch:-", "watches:1", "watch:1x",
	};
	struct watch_expression e;
	char longest[400];

	(void)state;
	assert_true(parse_watchpoint("watch:0xffffffff81000000", &e));
	assert_int_equal(e.watchpoint.sz, sizeof(e.watchpoint));
	assert_int_equal(e.watchpoint.address, 0xffffffff81000000);
	assert_int_equal(e.watchpoint.access, SCRY_WRITE);
	watchpoint_size(&e.watchpoint);
	assert_int_equal(e.watchpoint.size, 8);
	assert_true(parse_watchpoint("watch:0x1006@0x6c10000:rw", &e));
	assert_int_equal(e.watchpoint.cr3, 0x6c10000);
	assert_int_equal(e.watchpoint.flags, SCRY_WATCHPOINT_CR3);
	assert_int_equal(e.watchpoint.access, SCRY_READ | SCRY_WRITE);
	watchpoint_size(&e.watchpoint);
	assert_int_equal(e.watchpoint.size, 2);
	assert_true(parse_watchpoint("watch:jiffies_64/4:w", &e));
	assert_string_equal(e.symbol, "jiffies_64");
	watchpoint_size(&e.watchpoint);
	assert_int_equal(e.watchpoint.size, 4);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_watchpoint(bad[i], &e));
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "watch:", 6);
	longest[sizeof(longest) - 1] = 0;
	assert_false(parse_watchpoint(longest, &e));
}

static void test_msrs(void **state)
{
	uint32_t index;

	(void)state;
	assert_true(parse_msr("EFER", &index));
	assert_int_equal(index, 0xc0000080);
	assert_true(parse_msr("0xffffffff", &index));
	assert_false(parse_msr("0x100000000", &index));
	assert_string_equal(msr_name(0xc0000080), "efer");
	assert_string_equal(msr_name(0xffffffff), "");
}

static void test_reg_fields(void **state)
{
	static const char *const bad[] = {
		"", "rxx", "rax.base", "fs.", "fs.foo", "gdtr.attr", ".base",
		"averyveryverylongname", "RAX",
	};
	struct scry_regs regs = { 0 };
	struct reg_field field;

	(void)state;
	assert_true(parse_reg_field("rax", &field));
	assert_true(reg_field_set(&regs, field, 7));
	assert_int_equal(regs.gpr[SCRY_REG_RAX], 7);
	assert_true(parse_reg_field("fs.base", &field));
	assert_true(reg_field_set(&regs, field, UINT64_MAX));
	assert_int_equal(regs.seg[SCRY_REG_FS - SCRY_REG_ES].base, UINT64_MAX);
	assert_int_equal(reg_field_get(&regs, field), UINT64_MAX);
	assert_true(parse_reg_field("cs", &field));
	assert_false(reg_field_set(&regs, field, 0x10000));
	assert_true(parse_reg_field("idtr.limit", &field));
	assert_true(reg_field_set(&regs, field, 0xfff));
	assert_int_equal(regs.idtr.limit, 0xfff);
	assert_false(reg_field_set(&regs, field, UINT64_C(1) << 32));
	assert_true(parse_reg_field("gdtr.base", &field));
	assert_true(reg_field_set(&regs, field, 5));
	assert_int_equal(regs.gdtr.base, 5);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(parse_reg_field(bad[i], &field));
}

static void test_reg_flags(void **state)
{
	char buf[64], tiny[8];

	(void)state;
	assert_string_equal(reg_flags(SCRY_REG_RFLAGS, 0x246, buf, sizeof(buf)), "PF ZF IF");
	assert_string_equal(reg_flags(SCRY_REG_RAX, 0x246, buf, sizeof(buf)), "");
	assert_string_equal(reg_flags(SCRY_REG_RFLAGS, 0x246, tiny, sizeof(tiny)), "PF ZF I");
}

static void test_nearest(void **state)
{
	struct nearest nearest = nearest_to("tarce");

	(void)state;
	nearest_try(&nearest, "read");
	nearest_try(&nearest, "trace");
	nearest_try(&nearest, "translate");
	assert_string_equal(nearest.found, "trace");
	nearest = nearest_to("xyzzy");
	nearest_try(&nearest, "trace");
	nearest_try(&nearest, "run");
	assert_null(nearest.found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	    cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_hex_bytes),   cmocka_unit_test(test_format_size),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_breakpoints), cmocka_unit_test(test_watchpoints),
		cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_reg_fields),  cmocka_unit_test(test_reg_flags),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
