/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Counted pauses, and the register calls that stop a vCPU for the moment. */
#include <pthread.h>

#include "lib/vm.h"
#include "unit.h"

static void expect_log(const char *expected)
{
	assert_string_equal(fake.log, expected);
	fake_clear_log();
}

static void whole_vm(void **state)
{
	struct scry_vm *vm = *state;

	assert_ok(scry_pause(vm));
	expect_log("s0 s1 s2 c1 ");
	assert_ok(scry_pause(vm));
	assert_ok(scry_resume(vm));
	expect_log("");
	assert_ok(scry_resume(vm));
	expect_log("c0 g0 g1 g2 ");
	assert_error(SCRY_E_STATE, scry_resume(vm));
	expect_log("");
}

static void one_vcpu(void **state)
{
	struct scry_vm *vm = *state;

	assert_ok(scry_vcpu_pause(vm, 1));
	assert_ok(scry_vcpu_pause(vm, 1));
	expect_log("s1 ");
	assert_ok(scry_vcpu_resume(vm, 1));
	expect_log("");
	assert_ok(scry_vcpu_resume(vm, 1));
	expect_log("g1 ");
	assert_error(SCRY_E_STATE, scry_vcpu_resume(vm, 1));
	assert_error(SCRY_E_INVAL, scry_vcpu_pause(vm, FAKE_VCPUS));
	assert_says("has 3");
	assert_error(SCRY_E_INVAL, scry_vcpu_resume(vm, FAKE_VCPUS));
}

static void both_together(void **state)
{
	struct scry_vm *vm = *state;

	assert_ok(scry_vcpu_pause(vm, 2));
	assert_ok(scry_pause(vm));
	expect_log("s2 s0 s1 c1 ");
	assert_ok(scry_vcpu_pause(vm, 0));
	expect_log("");
	assert_ok(scry_resume(vm));
	expect_log("c0 g1 ");
	assert_ok(scry_pause(vm));
	expect_log("s1 c1 ");
	assert_ok(scry_vcpu_resume(vm, 0));
	assert_ok(scry_vcpu_resume(vm, 2));
	expect_log("");
	/* The VM's own pause is none of one vCPU's to undo. */
	assert_error(SCRY_E_STATE, scry_vcpu_resume(vm, 0));
	assert_ok(scry_resume(vm));
	expect_log("c0 g0 g1 g2 ");
}

static void failures_roll_back(void **state)
{
	struct scry_vm *vm = *state;

	assert_ok(scry_vcpu_pause(vm, 0));
	fake_clear_log();
	fake.fail_stop_of = 3;
	assert_error(SCRY_E_TIMEOUT, scry_pause(vm));
	expect_log("s1 g1 ");
	assert_error(SCRY_E_STATE, scry_resume(vm));
	assert_error(SCRY_E_TIMEOUT, scry_vcpu_pause(vm, 2));
	assert_error(SCRY_E_STATE, scry_vcpu_resume(vm, 2));

	fake.fail_stop_of = 0;
	fake.fail_clocks = 1;
	assert_error(SCRY_E_IO, scry_pause(vm));
	expect_log("s1 s2 g1 g2 ");
	assert_error(SCRY_E_STATE, scry_resume(vm));
	assert_int_equal(vm->cache_epoch & 1, 0);
}

struct pauser {
	struct scry_vm *vm;
	unsigned seed;
};

/* Random pauses and resumes, as many of each. */
static void *pause_at_random(void *arg)
{
	struct pauser *p = arg;
	struct scry_regs regs;

	for (int i = 0; i < 3000; i++) {
		unsigned vcpu = (p->seed = p->seed * 1103515245 + 12345) >> 16;

		if (vcpu & 8)
			scry_pause(p->vm);
		scry_vcpu_pause(p->vm, vcpu % FAKE_VCPUS);
		scry_regs_get(p->vm, (vcpu >> 4) % FAKE_VCPUS, &regs);
		scry_vcpu_resume(p->vm, vcpu % FAKE_VCPUS);
		if (vcpu & 8)
			scry_resume(p->vm);
	}
	return NULL;
}

static void from_threads(void **state)
{
	struct pauser p[4];
	pthread_t thread[4];

	for (unsigned i = 0; i < 4; i++) {
		p[i] = (struct pauser){ *state, i + 1 };
		assert_ok(pthread_create(&thread[i], NULL, pause_at_random, &p[i]));
	}
	for (unsigned i = 0; i < 4; i++)
		assert_ok(pthread_join(thread[i], NULL));
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		assert_true(fake.running[i]);
	assert_false(fake.clocks_stopped);
	assert_false(fake.misused);
}

static void registers(void **state)
{
	struct scry_regs regs, new = { .cr3 = 0x1000, .gpr[SCRY_REG_RSP] = 5 };
	struct scry_vm *vm = *state;

	fake.regs[1].rip = 0x1234;
	assert_ok(scry_regs_get(vm, 1, &regs));
	assert_int_equal(regs.rip, 0x1234);
	expect_log("s1 g1 ");
	assert_ok(scry_regs_set(vm, 1, &new, SCRY_REG_BIT(SCRY_REG_RSP)));
	assert_int_equal(fake.regs[1].gpr[SCRY_REG_RSP], 5);
	assert_int_equal(fake.regs[1].cr3, 0);
	expect_log("s1 g1 ");

	/* Stopped already, by a pause or by an event: not touched. */
	assert_ok(scry_vcpu_pause(vm, 1));
	assert_ok(scry_regs_get(vm, 1, &regs));
	assert_ok(scry_vcpu_resume(vm, 1));
	expect_log("s1 g1 ");
	fake.waits[1] = 1;
	assert_ok(scry_regs_get(vm, 1, &regs));
	expect_log("");
	/* The event was answered by another thread just now. */
	fake.waits[1] = 2;
	assert_ok(scry_regs_get(vm, 1, &regs));
	expect_log("s1 g1 ");

	assert_error(SCRY_E_INVAL, scry_regs_get(vm, FAKE_VCPUS, &regs));
	assert_says("has 3");
	assert_error(SCRY_E_INVAL, scry_regs_set(vm, 0, &new, SCRY_REG_BIT(SCRY_REG_COUNT)));
	fake.fail_stop_of = 1;
	assert_error(SCRY_E_TIMEOUT, scry_regs_get(vm, 0, &regs));
	expect_log("");
}

static void msrs_and_xsave(void **state)
{
	struct scry_vm *vm = *state;
	unsigned char area[576];
	uint64_t value;

	assert_ok(scry_msr_get(vm, 2, 0xc0000080, &value));
	assert_int_equal(value, UINT64_C(0xc000008002));
	assert_ok(scry_msr_set(vm, 2, 0x10, 0));
	assert_error(SCRY_E_REFUSED, scry_msr_set(vm, 2, 0x10, 1));
	assert_int_equal(scry_xsave_get(vm, 0, area, 0), 576);
	assert_int_equal(scry_xsave_get(vm, 0, area, sizeof(area)), 576);
	assert_int_equal(area[575], 0x5a);
	assert_ok(scry_xsave_set(vm, 0, area, sizeof(area)));
	assert_error(SCRY_E_INVAL, scry_xsave_set(vm, 0, area, 575));
	expect_log("s2 g2 s2 g2 s2 g2 s0 g0 s0 g0 s0 g0 s0 g0 ");
	assert_error(SCRY_E_INVAL, scry_msr_get(vm, 3, 0, &value));
	scry_cap_set(vm, SCRY_CAP_XSAVE_WRITE, false, "no such thing");
	assert_error(SCRY_E_UNSUPPORTED, scry_xsave_set(vm, 0, area, sizeof(area)));
	assert_says("no such thing");
}

static void register_names(void **state)
{
	struct scry_regs regs = { .seg[1] = { .base = 7, .selector = 0x33 },
				  .gdtr.base = 0x99, .dr = { 1, 2, 3, 4 } };

	(void)state;
	for (int i = 0; i < SCRY_REG_COUNT; i++) {
		uint64_t *ref = scry_reg_ref(&regs, i);

		assert_int_equal(scry_reg_find(scry_reg_name(i)), i);
		assert_int_equal(!ref, i >= SCRY_REG_ES && i <= SCRY_REG_TR);
		if (ref) {
			assert_in_range((uintptr_t)ref, (uintptr_t)&regs,
					(uintptr_t)(&regs + 1) - 8);
			*ref = 1000u + (unsigned)i;
		}
	}
	/* No two of them are one. */
	for (int i = 0; i < SCRY_REG_COUNT; i++)
		if (scry_reg_ref(&regs, i))
			assert_int_equal(scry_reg_value(&regs, i), 1000 + i);
	assert_int_equal(scry_reg_value(&regs, SCRY_REG_CS), 0x33);
	assert_int_equal(scry_reg_value(&regs, SCRY_REG_COUNT), 0);
	assert_null(scry_reg_ref(&regs, SCRY_REG_COUNT));
	assert_null(scry_reg_name(SCRY_REG_COUNT));
	assert_null(scry_reg_name((enum scry_reg)-1));
	assert_error(SCRY_E_INVAL, scry_reg_find("RAX"));
	assert_says("RAX");
	assert_error(SCRY_E_INVAL, scry_reg_find(""));
	assert_error(SCRY_E_INVAL, scry_reg_find(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole_vm, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(one_vcpu, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(both_together, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(failures_roll_back, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(from_threads, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(registers, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(msrs_and_xsave, unit_open, unit_close),
		cmocka_unit_test(register_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
