/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* URIs, errors, opening and closing, what a VM says of itself. */
#include <pthread.h>
#include <stdlib.h>

#include "lib/driver.h"
#include "lib/uri.h"
#include "unit.h"

static void expect_uri(const char *uri, const char *scheme, const char *address)
{
	const struct scry_driver *driver;
	const char *found;

	assert_ok(scry_uri_parse(uri, &driver, &found));
	assert_string_equal(driver->scheme, scheme);
	assert_string_equal(found, address);
}

static void uri_good(void **state)
{
	(void)state;
	expect_uri("fake:vm", "fake", "vm");
	expect_uri("other:vm", "other", "vm");
	expect_uri("fake:/run/a.sock", "fake", "/run/a.sock");
	expect_uri("fake:a:b", "fake", "a:b");
	/* No scheme, or a path: the first driver. */
	expect_uri("vm", "fake", "vm");
	expect_uri("1234", "fake", "1234");
	expect_uri("/run/a:b.sock", "fake", "/run/a:b.sock");
}

static void uri_bad(void **state)
{
	const struct scry_driver *driver;
	char long_uri[5000];
	const char *address;

	(void)state;
	assert_error(SCRY_E_INVAL, scry_uri_parse(NULL, &driver, &address));
	assert_error(SCRY_E_INVAL, scry_uri_parse("", &driver, &address));
	assert_error(SCRY_E_INVAL, scry_uri_parse("fake:", &driver, &address));
	assert_says("fake:");
	assert_error(SCRY_E_INVAL, scry_uri_parse(":vm", &driver, &address));
	assert_error(SCRY_E_INVAL, scry_uri_parse("fak:vm", &driver, &address));
	assert_says("'fak'");
	assert_error(SCRY_E_INVAL, scry_uri_parse("fakes:vm", &driver, &address));
	assert_error(SCRY_E_INVAL, scry_uri_parse("FAKE:vm", &driver, &address));

	memset(long_uri, 'x', sizeof(long_uri));
	long_uri[sizeof(long_uri) - 1] = 0;
	assert_error(SCRY_E_INVAL, scry_uri_parse(long_uri, &driver, &address));
	/* A sentence stays a sentence, however long what it quotes. */
	long_uri[3000] = ':';
	long_uri[4000] = 0;
	assert_error(SCRY_E_INVAL, scry_uri_parse(long_uri, &driver, &address));
	assert_true(strlen(scry_errmsg()) < 300);
}

static void *empty_at_first(void *arg)
{
	*(int *)arg = scry_errmsg()[0] == 0;
	return NULL;
}

static void errors(void **state)
{
	int empty = 0;
	pthread_t thread;

	(void)state;
	assert_string_equal(scry_strerror(SCRY_E_GONE), "the VM has ended");
	assert_string_equal(scry_strerror(0), "success");
	assert_string_equal(scry_strerror(7), "success");
	assert_non_null(scry_strerror(-9999));

	/* The sentence is the thread's own, and the last one. */
	assert_int_equal(scry_fail(SCRY_E_IO, "first %d", 1), SCRY_E_IO);
	assert_int_equal(scry_fail(SCRY_E_PERM, "second %s", "2"), SCRY_E_PERM);
	assert_string_equal(scry_errmsg(), "second 2");
	assert_ok(pthread_create(&thread, NULL, empty_at_first, &empty));
	assert_ok(pthread_join(thread, NULL));
	assert_true(empty);
	assert_string_equal(scry_errmsg(), "second 2");
}

static void open_failures(void **state)
{
	struct scry_open_opts opts = { .sz = sizeof(opts) - 1 };
	struct scry_vm *vm = (struct scry_vm *)&opts;
	int opens = fake.opens, closes = fake.closes;

	(void)state;
	assert_error(SCRY_E_INVAL, scry_open(NULL, "fake:vm", NULL));
	assert_error(SCRY_E_INVAL, scry_open(&vm, NULL, NULL));
	assert_null(vm);
	assert_error(SCRY_E_INVAL, scry_open(&vm, "fake:vm", &opts));
	assert_error(SCRY_E_PERM, scry_open(&vm, "fake:locked", NULL));
	assert_int_equal(fake.opens, opens);

	/* Attached, but then the map cannot be had: detached again. */
	fake.fail_map = 1;
	assert_error(SCRY_E_IO, scry_open(&vm, "fake:vm", NULL));
	assert_null(vm);
	assert_int_equal(fake.opens, opens + 1);
	assert_int_equal(fake.closes, closes + 1);
	scry_close(NULL);
}

static void options(void **state)
{
	struct scry_open_opts opts = { .sz = sizeof(opts), .timeout_ms = 123 };
	struct scry_vm *vm;

	assert_true(((struct scry_vm *)*state)->timeout_ms > 0);
	assert_ok(scry_open(&vm, "vm", &opts));
	assert_int_equal(vm->timeout_ms, 123);
	scry_close(vm);
}

static void info(void **state)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct scry_vm *vm = *state;
	uint64_t gfn;

	assert_int_equal(scry_vcpu_count(vm), FAKE_VCPUS);
	assert_ok(scry_max_gfn(vm, &gfn));
	assert_int_equal(gfn, TOP_GPA >> 12);
	assert_ok(scry_info(vm, &info));
	assert_string_equal(info.driver, "fake");
	assert_string_equal(info.name, "vm");
	assert_string_equal(info.hypervisor, "Fake 1.0");
	assert_int_equal(info.pid, 4242);
	assert_int_equal(info.vcpus, FAKE_VCPUS);
	assert_int_equal(info.max_gfn, TOP_GPA >> 12);
	assert_int_equal(info.ram_bytes, RAM_SIZE + SECOND_SIZE + FAR_SIZE + HIGH_SIZE + TOP_SIZE);

	/* A caller of an older header: nothing behind its struct is touched. */
	memset(&info, 0xee, sizeof(info));
	info.sz = offsetof(struct scry_info, name);
	assert_ok(scry_info(vm, &info));
	assert_string_equal(info.driver, "fake");
	assert_int_equal((unsigned char)info.name[0], 0xee);
	info.sz = 0;
	assert_error(SCRY_E_INVAL, scry_info(vm, &info));
	info.sz = sizeof(info) + 8;
	assert_error(SCRY_E_INVAL, scry_info(vm, &info));
}

static void caps(void **state)
{
	struct scry_vm *vm = *state;
	const char *reason;
	char byte = 0;

	assert_string_equal(scry_cap_name(SCRY_CAP_PHYS_READ), "phys-read");
	assert_string_equal(scry_cap_text(SCRY_CAP_PHYS_READ), "read physical memory");
	assert_null(scry_cap_name(SCRY_CAP_COUNT));
	assert_null(scry_cap_text((enum scry_cap)-1));
	assert_int_equal(scry_cap(vm, SCRY_CAP_RAM_MAP, &reason), 1);
	assert_string_equal(reason, "by a buffer");
	assert_error(SCRY_E_INVAL, scry_cap(vm, SCRY_CAP_COUNT, NULL));

	/* What is missing is an error that names the VM, the operation and the reason. */
	scry_cap_set(vm, SCRY_CAP_PHYS_WRITE, false, "it is a dump");
	assert_int_equal(scry_cap(vm, SCRY_CAP_PHYS_WRITE, &reason), 0);
	assert_string_equal(reason, "it is a dump");
	assert_error(SCRY_E_UNSUPPORTED, scry_write_phys(vm, 0, &byte, 1));
	assert_says("write physical memory");
	assert_says("it is a dump");
	assert_int_equal(fake.writes, 0);
	scry_cap_set(vm, SCRY_CAP_PAUSE, false, "it has no switch");
	assert_error(SCRY_E_UNSUPPORTED, scry_pause(vm));
	assert_says("it has no switch");
}

static int count_until(const struct scry_vm_entry *entry, void *opaque)
{
	int *left = opaque;

	assert_non_null(entry->uri);
	return --*left == 0 ? 77 : 0;
}

static void list(void **state)
{
	int left = 10;

	(void)state;
	assert_ok(scry_list(count_until, &left));
	assert_int_equal(left, 8);
	left = 1;
	assert_int_equal(scry_list(count_until, &left), 77);
	assert_int_equal(left, 0);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(scry_event_name(SCRY_EVENT_CPUID), "cpuid");
	assert_null(scry_event_name(SCRY_EVENT_COUNT));
	assert_string_equal(scry_version(), SCRY_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uri_good),
		cmocka_unit_test(uri_bad),
		cmocka_unit_test(errors),
		cmocka_unit_test(names),
		cmocka_unit_test_setup_teardown(open_failures, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(options, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(info, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(caps, unit_open, unit_close),
		cmocka_unit_test_setup_teardown(list, unit_open, unit_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
