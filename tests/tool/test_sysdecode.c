/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* System calls' arguments, out of a dump with two address spaces. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "syscalls/syscalls.h"
#include "../lib/test.h"	/* whose fail() is another */

#define PAGE	 4096u
#define GVA	 UINT64_C(0x400000)
#define ENTRY	 7u		/* present, writable, of the user's */
#define PAGES	 11
#define AT_FDCWD (uint64_t)-100

static struct scry_vm *vm;
static struct user_memory memory;

/* Tables of four levels from page `root` on, and behind them the page at GVA. */
static void map_page(unsigned char *ram, uint64_t root, const char *text)
{
	static const unsigned index[] = { 0, 0, 2, 0 };

	for (uint64_t i = 0; i < 4; i++) {
		uint64_t entry = (root + i + 1) * PAGE | ENTRY;

		memcpy(ram + (root + i) * PAGE + index[i] * sizeof(entry), &entry, sizeof(entry));
	}
	strcpy((char *)ram + (root + 4) * PAGE, text);
}

static int begin(void **state)
{
	static unsigned char ram[PAGES * PAGE];
	int fd = memfd_create("ram", MFD_CLOEXEC);
	char uri[64];

	(void)state;
	map_page(ram, 1, "what the kernel read");
	map_page(ram, 6, "what came later");
	if (fd < 0 || write(fd, ram, sizeof(ram)) != sizeof(ram))
		return -1;
	snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d", fd);
	if (scry_open(&vm, uri, NULL) < 0)
		return -1;
	close(fd);
	memory.vm = vm;
	return 0;
}

static int end(void **state)
{
	(void)state;
	scry_close(vm);
	return 0;
}

static void use(uint64_t root)
{
	struct scry_as_opts opts = { .sz = sizeof(opts), .mode = SCRY_PAGING_4LEVEL, .nxe = 1 };

	scry_as_free(memory.as);
	memory.as = NULL;
	if (root)
		assert_ok(scry_as_open(vm, root * PAGE, &opts, &memory.as));
}

static void expect_at_return(const char *name, struct syscall *call, uint64_t root,
			     const char *text)
{
	use(root);
	if (syscall_has_outputs(call))
		syscall_decode_outputs(&memory, name, call);
	assert_string_equal(call->text, text);
}

/* With one address space at entry, and another, or none, when it returns. */
static void expect(const char *name, const char *entered, const char *returned, int64_t result,
		   struct syscall call)
{
	use(1);
	syscall_decode(&memory, name, &call);
	assert_string_equal(call.text, entered);
	call.returned = true;
	call.result = result;
	expect_at_return(name, &call, 6, returned);
	expect_at_return(name, &call, 0, entered);
}

static void test_inputs_are_of_the_entry(void **state)
{
	(void)state;
	expect("openat", "AT_FDCWD, \"what the kernel read\", O_RDONLY",
	       "AT_FDCWD, \"what the kernel read\", O_RDONLY", 3,
	       (struct syscall){ .arg = { AT_FDCWD, GVA } });
	expect("execveat", "3, \"what the kernel read\", [], 0x0, 0x0",
	       "3, \"what the kernel read\", [], 0x0, 0x0", 0,
	       (struct syscall){ .arg = { 3, GVA } });
	expect("write", "1, \"what\", 4", "1, \"what\", 4", 4,
	       (struct syscall){ .arg = { 1, GVA, 4 } });
}

static void test_outputs_are_of_the_return(void **state)
{
	(void)state;
	expect("read", "3, 0x400000, 100", "3, \"what came\", 100", 9,
	       (struct syscall){ .arg = { 3, GVA, 100 } });
	expect("read", "3, 0x400000, 100", "3, 0x400000, 100", -4,
	       (struct syscall){ .arg = { 3, GVA, 100 } });
	expect("readlinkat", "5, \"what the kernel read\", 0x400000, 64",
	       "5, \"what the kernel read\", \"what came\", 64", 9,
	       (struct syscall){ .arg = { 5, GVA, GVA, 64 } });
	expect("pread64", "3, 0x400000, 100, 7, 0", "3, \"what came\", 100, 7, 0", 9,
	       (struct syscall){ .i386 = true, .arg = { 3, GVA, 100, 7 } });
}

static void expect_result(int64_t result, bool failed, const char *restart, const char *text)
{
	const struct syscall call = { .returned = true, .result = result };
	char buf[64];

	syscall_result(&call, buf, sizeof(buf));
	assert_string_equal(buf, text);
	assert_int_equal(syscall_failed(&call), failed);
	if (restart)
		assert_string_equal(syscall_restart(&call), restart);
	else
		assert_null(syscall_restart(&call));
}

static void test_results(void **state)
{
	(void)state;
	expect_result(3, false, NULL, "3");
	expect_result(-2, true, NULL, "-1 ENOENT");
	expect_result(-511, true, NULL, "-511");
	expect_result(-512, false, "ERESTARTSYS", "? ERESTARTSYS");
	expect_result(-513, false, "ERESTARTNOINTR", "? ERESTARTNOINTR");
	expect_result(-514, false, "ERESTARTNOHAND", "? ERESTARTNOHAND");
	expect_result(-515, true, NULL, "-515");
	expect_result(-516, false, "ERESTART_RESTARTBLOCK", "? ERESTART_RESTARTBLOCK");
	expect_result(-4095, true, NULL, "-4095");
	expect_result(-4096, false, NULL, "-4096");
	expect_result(INT64_MIN, false, NULL, "0x8000000000000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inputs_are_of_the_entry),
		cmocka_unit_test(test_outputs_are_of_the_return),
		cmocka_unit_test(test_results),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
