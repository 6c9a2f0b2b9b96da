/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The driver `file` over dumps made here: what it finds, and what it refuses. */
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <scry/scry.h>

#include "../lib/test.h"
#include "lib/drivers/dump/format.h"
#include "make.h"

static struct scry_vm *open_fd(int fd, int *ret)
{
	struct scry_vm *vm;
	char uri[64];

	snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d", fd);
	*ret = scry_open(&vm, uri, NULL);
	return vm;
}

/* The dump is opened; its file has no other name. */
static struct scry_vm *open_bytes(struct bytes b)
{
	int fd = make_file(&b), ret;
	struct scry_vm *vm = open_fd(fd, &ret);

	free(b.data);
	close(fd);
	assert_ok(ret);
	return vm;
}

static struct bytes text(const char *what, size_t size)
{
	struct bytes b = { calloc(1, size), size };

	memcpy(b.data, what, strlen(what) < size ? strlen(what) : size);
	return b;
}

static void refuses(struct bytes b, const char *words)
{
	int fd = make_file(&b), ret;
	struct scry_vm *vm = open_fd(fd, &ret);

	free(b.data);
	close(fd);
	assert_null(vm);
	assert_int_equal(ret, SCRY_E_INVAL);
	assert_says(words);
}

static void has_memory(struct scry_vm *vm, uint64_t gpa, size_t size)
{
	unsigned char *buf = malloc(size);
	uint64_t word;

	assert_ok(scry_read_phys(vm, gpa, buf, size));
	for (size_t i = 0; i < size; i++)
		assert_int_equal(buf[i], byte_at(gpa + i));
	assert_ok(scry_read_phys_u64(vm, gpa + 3, &word));
	assert_memory_equal(&word, buf + 3, 8);
	free(buf);
}

static void has_regions(struct scry_vm *vm, int count, const uint64_t expected[][2])
{
	struct scry_region region[8];

	assert_int_equal(scry_memory_map(vm, region, 8), count);
	for (int i = 0; i < count; i++) {
		assert_int_equal(region[i].gpa, expected[i][0]);
		assert_int_equal(region[i].size, expected[i][1]);
		has_memory(vm, expected[i][0], expected[i][1]);
	}
}

static const uint64_t elf64_map[][2] = {
	{ 0, 0x8000 }, { 0xa000, 0x2000 }, { 0x100000000, 0x2000 }, { 0x100002000, 0x1000 },
};

static void test_elf_memory(void **state)
{
	struct scry_vm *vm = open_bytes(make_elf64(1));
	uint64_t gfn, word;

	(void)state;
	has_regions(vm, 4, elf64_map);
	has_memory(vm, 0x100000000, 0x3000);
	assert_ok(scry_max_gfn(vm, &gfn));
	assert_int_equal(gfn, 0x100002);
	assert_error(SCRY_E_ADDRESS, scry_read_phys_u64(vm, 0x8000, &word));
	assert_error(SCRY_E_ADDRESS, scry_read_phys_u64(vm, 0x7ffc, &word));
	assert_error(SCRY_E_ADDRESS, scry_read_phys_u64(vm, UINT64_MAX - 3, &word));
	assert_non_null(scry_phys_ptr(vm, 0x1000, 0x1000));
	scry_close(vm);
}

static void test_elf_registers(void **state)
{
	struct scry_vm *vm = open_bytes(make_elf64(1));
	struct scry_regs r;
	uint64_t value;

	(void)state;
	assert_int_equal(scry_vcpu_count(vm), MADE_CPUS);
	for (unsigned i = 0; i < MADE_CPUS; i++) {
		assert_ok(scry_regs_get(vm, i, &r));
		assert_int_equal(r.gpr[SCRY_REG_RAX], 0x2000 + i);
		assert_int_equal(r.gpr[SCRY_REG_R15], 15);
		assert_int_equal(r.rip, 0xffffffff82000000 + i);
		assert_int_equal(r.cr3, MADE_CR3 + (i << 12));
		assert_int_equal(r.efer, 0xd00);
		assert_int_equal(r.seg[1].attr, 0xa09b);
		assert_int_equal(r.gdtr.base, 0xfffffe0000001000);
		assert_int_equal(r.seg[4].base, 0x7f0000000000);
	}
	assert_ok(scry_msr_get(vm, 0, 0xc0000102, &value));
	assert_int_equal(value, 0xffff88800fc00000);
	assert_error(SCRY_E_REFUSED, scry_msr_get(vm, 0, 0xc0000082, &value));
	assert_error(SCRY_E_INVAL, scry_regs_get(vm, MADE_CPUS, &r));
	scry_close(vm);
}

/* An area without a header is none. */
static void test_xsave(void **state)
{
	struct scry_vm *vm = open_bytes(make_elf64_with_xsave(SCRY_XSAVE_LEAST));
	unsigned char area[SCRY_XSAVE_LEAST];

	(void)state;
	assert_int_equal(scry_xsave_get(vm, 0, area, sizeof(area)), sizeof(area));
	scry_close(vm);
	vm = open_bytes(make_elf64_with_xsave(SCRY_XSAVE_LEAST - 64));
	assert_error(SCRY_E_UNSUPPORTED, scry_xsave_get(vm, 0, area, sizeof(area)));
	scry_close(vm);
}

/* kdump's: no control registers, but the kernel's root in VMCOREINFO. */
static void test_vmcore(void **state)
{
	struct scry_vm *vm = open_bytes(make_elf64(0));
	struct scry_as *as;
	struct scry_regs r;
	struct scry_walk w;

	(void)state;
	assert_ok(scry_regs_get(vm, 1, &r));
	assert_int_equal(r.gpr[SCRY_REG_RAX], 0x1001);
	assert_int_equal(r.cr3, 0x6000);
	assert_int_equal(r.seg[5].base, 0xffff888000000001);
	assert_ok(scry_as_of_vcpu(vm, 1, &as));
	assert_int_equal(scry_as_mode(as), SCRY_PAGING_4LEVEL);
	assert_int_equal(scry_as_root(as), 0x6000);
	assert_ok(scry_walk(as, 0xffff888000000000, &w));
	assert_int_equal(w.levels > 0, 1);
	assert_int_equal(w.step[0].gpa & ~UINT64_C(0xfff), 0x6000);
	scry_as_free(as);
	scry_close(vm);
}

static void test_elf32(void **state)
{
	static const uint64_t map[][2] = { { 0, 0x3000 } };
	struct scry_vm *vm = open_bytes(make_elf32());
	struct scry_regs r;

	(void)state;
	has_regions(vm, 1, map);
	assert_ok(scry_regs_get(vm, 0, &r));
	assert_int_equal(r.gpr[SCRY_REG_RBX], 0xb);
	assert_int_equal(r.rip, 0xc0100000);
	scry_close(vm);
}

/* Parts of pages are left out. */
static void test_lime(void **state)
{
	static const uint64_t map[][2] = { { 0x1000, 0x9e000 }, { 0x100000, 0x10000 } };
	struct scry_vm *vm = open_bytes(make_lime());
	struct scry_regs r;

	(void)state;
	has_regions(vm, 2, map);
	assert_int_equal(scry_vcpu_count(vm), 0);
	assert_error(SCRY_E_UNSUPPORTED, scry_regs_get(vm, 0, &r));
	assert_says("no registers");
	scry_close(vm);
}

static void test_raw(void **state)
{
	static const uint64_t map[][2] = { { 0, 0x5000 } };
	struct scry_vm *vm = open_bytes(make_raw(0x5000));
	struct scry_info info = { .sz = sizeof(info) };

	(void)state;
	has_regions(vm, 1, map);
	assert_ok(scry_info(vm, &info));
	assert_int_equal(info.ram_bytes, 0x5000);
	assert_int_equal(info.missing_bytes, 0);
	assert_int_equal(info.ram_access, SCRY_RAM_MAPPED);
	assert_string_equal(info.driver, "file");
	scry_close(vm);
}

static void test_sparse(void **state)
{
	struct bytes b = make_raw(0x1000);
	int fd = make_file(&b), ret;
	unsigned char page[4096];
	struct scry_vm *vm;

	(void)state;
	assert_ok(ftruncate(fd, 1 << 30));
	vm = open_fd(fd, &ret);
	assert_ok(ret);
	has_memory(vm, 0, 0x1000);
	assert_ok(scry_read_phys(vm, (1 << 30) - 4096, page, sizeof(page)));
	for (size_t i = 0; i < sizeof(page); i++)
		assert_int_equal(page[i], 0);
	scry_close(vm);
	close(fd);
	free(b.data);
}

static void test_zstd(void **state)
{
	struct bytes plain = make_elf64(1), packed = make_zstd(&plain);
	struct scry_vm *vm = open_bytes(packed);
	struct scry_info info = { .sz = sizeof(info) };

	(void)state;
	has_regions(vm, 4, elf64_map);
	assert_ok(scry_info(vm, &info));
	assert_int_equal(info.ram_access, SCRY_RAM_MESSAGES);
	assert_null(scry_phys_ptr(vm, 0, 8));
	assert_says("compressed");
	scry_close(vm);
	free(plain.data);
}

/* Of a hole no memory is made, however many frames it is said to tell of. */
static void test_zstd_of_holes(void **state)
{
	const struct dump_zstd_footer footer = { 1 << 27, 0, DUMP_ZSTD_TABLE_END };
	struct bytes b = text("\x28\xb5\x2f\xfd", 4096);
	const off_t size = (off_t)2 << 30;
	struct rusage before, after;
	int fd = make_file(&b), ret;

	(void)state;
	free(b.data);
	assert_ok(ftruncate(fd, size));
	assert_int_equal(pwrite(fd, &footer, sizeof(footer), size - (off_t)sizeof(footer)),
			 sizeof(footer));
	assert_ok(getrusage(RUSAGE_SELF, &before));
	assert_null(open_fd(fd, &ret));
	assert_int_equal(ret, SCRY_E_INVAL);
	assert_says("table of frames");
	assert_ok(getrusage(RUSAGE_SELF, &after));
	assert_true(after.ru_maxrss - before.ru_maxrss < 256 << 10);
	close(fd);
}

static void test_cut_short(void **state)
{
	static const uint64_t map[][2] = { { 0, 0x8000 }, { 0xa000, 0x2000 },
					   { 0x100000000, 0x1000 } };
	struct scry_info info = { .sz = sizeof(info) };
	struct bytes b = make_elf64(1);
	const char *note;
	struct scry_vm *vm;

	(void)state;
	b.size -= 0x3001;
	vm = open_bytes(b);
	has_regions(vm, 3, map);
	assert_ok(scry_info(vm, &info));
	assert_int_equal(info.missing_bytes, 0x3001);
	assert_int_equal(scry_cap(vm, SCRY_CAP_MEMORY_MAP, &note), 1);
	assert_non_null(strstr(note, "shorter than its headers say, by 13 KiB"));
	scry_close(vm);
}

static void test_read_only(void **state)
{
	struct scry_vm *vm = open_bytes(make_elf64(1));
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CPUID };
	struct scry_breakpoint bp = { .sz = sizeof(bp) };
	struct scry_reply reply = { .sz = sizeof(reply) };
	struct scry_event event = { 0 };
	struct scry_regs regs = { 0 };
	const char *reason;

	(void)state;
	assert_error(SCRY_E_UNSUPPORTED, scry_write_phys(vm, 0, "x", 1));
	assert_says("not changed");
	assert_error(SCRY_E_UNSUPPORTED, scry_regs_set(vm, 0, &regs, 1));
	assert_error(SCRY_E_UNSUPPORTED, scry_pause(vm));
	assert_says("stands still");
	assert_error(SCRY_E_STATE, scry_resume(vm));
	assert_error(SCRY_E_UNSUPPORTED, scry_vcpu_pause(vm, 0));
	assert_error(SCRY_E_UNSUPPORTED, scry_subscribe(vm, &sub));
	assert_error(SCRY_E_UNSUPPORTED, scry_unsubscribe(vm, 1));
	assert_error(SCRY_E_UNSUPPORTED, scry_breakpoint_add(vm, &bp));
	assert_error(SCRY_E_UNSUPPORTED, scry_event_wait(vm, &event, 1, 0));
	assert_error(SCRY_E_UNSUPPORTED, scry_event_fd(vm));
	assert_error(SCRY_E_UNSUPPORTED, scry_event_times(vm, 1));
	assert_error(SCRY_E_UNSUPPORTED, scry_reply(vm, &event, &reply));
	assert_error(SCRY_E_UNSUPPORTED, scry_view_create(vm, 0));
	for (int cap = 0; cap < SCRY_CAP_COUNT; cap++)
		if (!scry_cap(vm, cap, &reason))
			assert_true(reason[0]);
	scry_close(vm);
}

static void test_refused(void **state)
{
	struct bytes b;

	(void)state;
	refuses(text("", 0), "empty");
	refuses(text("hello", 5), "no dump");
	refuses(text("KDUMP   ", 8192), "makedumpfile -E");
	refuses(text("QEVM", 8192), "memory-only");
	refuses(text("\x28\xb5\x2f\xfd", 8192), "zstd -d");
	refuses(text("\177ELF", 4), "cut short");
	b = make_elf64(1);
	b.data[16] = ET_EXEC;
	refuses(b, "not a core");
	b = make_elf64(1);
	b.data[18] = EM_AARCH64;
	refuses(b, "another processor");
	b = make_elf64(1);
	b.size = 100;
	refuses(b, "cut short");
	b = make_lime();
	b.data[32 + 0x9ec00] ^= 1;
	refuses(b, "no header of LiME");
	b = make_lime();
	b.data[4] = 2;
	refuses(b, "version 2");
}

static void test_no_file(void **state)
{
	struct scry_vm *vm;

	(void)state;
	assert_error(SCRY_E_NOTFOUND, scry_open(&vm, "file:/nonexistent/dump", NULL));
	assert_error(SCRY_E_INVAL, scry_open(&vm, "file:/", NULL));
	assert_error(SCRY_E_INVAL, scry_open(&vm, "file:/dev/zero", NULL));
	assert_error(SCRY_E_INVAL, scry_open(&vm, "file:", NULL));
}

/* The file becomes shorter while it is read: an error at once, whoever reads. */
static void test_shortened(void **state)
{
	struct bytes b = make_raw(0x10000);
	int fd = make_file(&b), ret;
	struct scry_vm *vm = open_fd(fd, &ret), *other = open_bytes(make_raw(0x2000));
	unsigned char page[4096];
	uint64_t word;

	(void)state;
	assert_ok(ret);
	has_memory(vm, 0xf000, 0x1000);
	assert_ok(ftruncate(fd, 0x8000));
	assert_error(SCRY_E_IO, scry_read_phys_u64(vm, 0xf000, &word));
	assert_says("shortened");
	assert_error(SCRY_E_IO, scry_read_phys(vm, 0x1000, page, sizeof(page)));
	assert_null(scry_phys_ptr(vm, 0, 8));
	has_memory(other, 0, 0x2000);
	scry_close(vm);
	has_memory(other, 0, 0x2000);
	scry_close(other);
	close(fd);
	free(b.data);
}

static sigjmp_buf after_fault;

static void own_handler(int signal)
{
	(void)signal;
	siglongjmp(after_fault, 1);
}

/* A fault that is none of a dump's goes to the handler that was there. */
static void test_faults_of_others(void **state)
{
	const struct sigaction own = { .sa_handler = own_handler };
	struct sigaction before, now;
	struct bytes b = make_raw(0x1000);
	int fd = make_file(&b);
	volatile char *page;
	struct scry_vm *vm;

	(void)state;
	assert_ok(sigaction(SIGBUS, &own, &before));
	vm = open_bytes(make_raw(0x1000));
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_ok(ftruncate(fd, 0));
	if (!sigsetjmp(after_fault, 1))
		assert_int_equal(page[0], -1);
	has_memory(vm, 0, 0x1000);
	scry_close(vm);
	assert_ok(sigaction(SIGBUS, &before, &now));
	assert_true(now.sa_handler == own_handler);
	munmap((void *)page, 4096);
	close(fd);
	free(b.data);
}

static void *reader(void *opaque)
{
	struct scry_vm *vm = opaque;
	uint64_t word;
	int ret;

	do
		ret = scry_read_phys_u64(vm, 0xf000, &word);
	while (!ret);
	return (void *)(intptr_t)ret;
}

static void test_shortened_under_threads(void **state)
{
	struct bytes b = make_raw(0x10000);
	int fd = make_file(&b), ret;
	struct scry_vm *vm = open_fd(fd, &ret);
	pthread_t thread[4];
	void *result;

	(void)state;
	assert_ok(ret);
	for (int i = 0; i < 4; i++)
		assert_ok(pthread_create(&thread[i], NULL, reader, vm));
	assert_ok(ftruncate(fd, 0));
	for (int i = 0; i < 4; i++) {
		assert_ok(pthread_join(thread[i], &result));
		assert_int_equal((intptr_t)result, SCRY_E_IO);
	}
	scry_close(vm);
	close(fd);
	free(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf_memory),
		cmocka_unit_test(test_elf_registers),
		cmocka_unit_test(test_xsave),
		cmocka_unit_test(test_vmcore),
		cmocka_unit_test(test_elf32),
		cmocka_unit_test(test_lime),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_zstd_of_holes),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_shortened),
		cmocka_unit_test(test_shortened_under_threads),
		cmocka_unit_test(test_faults_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
