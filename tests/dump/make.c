/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include <unistd.h>
#include <zstd.h>

#include "lib/drivers/dump/format.h"
#include "make.h"

uint8_t byte_at(uint64_t gpa)
{
	return (uint8_t)((gpa >> 12) * 31 + gpa * 7);
}

static void put(struct bytes *b, const void *data, size_t len)
{
	unsigned char *more = realloc(b->data, b->size + len);

	if (!more)
		abort();
	b->data = more;
	memcpy(b->data + b->size, data, len);
	b->size += len;
}

static void put_zero(struct bytes *b, size_t len)
{
	static const char zero[4096];

	for (; len > sizeof(zero); len -= sizeof(zero))
		put(b, zero, sizeof(zero));
	put(b, zero, len);
}

static void put_memory(struct bytes *b, uint64_t gpa, uint64_t size)
{
	uint8_t *bytes = malloc(size);

	if (!bytes)
		abort();
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = byte_at(gpa + i);
	put(b, bytes, size);
	free(bytes);
}

static void put_note(struct bytes *b, const char *name, uint32_t type, const void *desc, size_t len)
{
	const Elf64_Nhdr h = { (Elf64_Word)strlen(name) + 1, (Elf64_Word)len, type };

	put(b, &h, sizeof(h));
	put(b, name, h.n_namesz);
	put_zero(b, -h.n_namesz & 3);
	put(b, desc, len);
	put_zero(b, -len & 3);
}

static void put_prstatus(struct bytes *b, unsigned cpu)
{
	struct user_regs_struct u = { .rax = 0x1000 + cpu, .rip = 0xffffffff81000000 + cpu,
				      .rsp = 0xffff888000001000, .eflags = 2, .cs = 0x10,
				      .gs_base = 0xffff888000000000 + cpu };
	struct elf_prstatus p = { .pr_pid = (pid_t)cpu + 1 };

	memcpy(&p.pr_reg, &u, sizeof(u));
	put_note(b, "CORE", NT_PRSTATUS, &p, sizeof(p));
}

static void put_qemu(struct bytes *b, unsigned cpu, uint32_t cs_flags)
{
	struct dump_qemu_cpu q = {
		.version = 1, .size = sizeof(q), .rax = 0x2000 + cpu, .r = { [7] = 15 },
		.rip = 0xffffffff82000000 + cpu, .rflags = 0x246,
		.cs = { .selector = 0x10, .limit = UINT32_MAX, .flags = cs_flags },
		.fs = { .base = 0x7f0000000000, .flags = 0xc09300 },
		.gdt = { .base = 0xfffffe0000001000, .limit = 0x7f },
		.cr = { 0x80050033, 0, 0x1234, MADE_CR3 + (cpu << 12), 0x6b0 },
		.kernel_gs_base = 0xffff88800fc00000,
	};

	put_note(b, "QEMU", 0, &q, sizeof(q));
}

static struct bytes make_notes(int system, size_t xsave)
{
	static const char info[] = "OSRELEASE=6.1.0\nNUMBER(phys_base)=-4194304\n"
				   "SYMBOL(swapper_pg_dir)=ffffffff80406000\n"
				   "NUMBER(pgtable_l5_enabled)=0\n";
	static const unsigned char area[4096];
	struct bytes b = { 0 };

	for (unsigned i = 0; i < MADE_CPUS; i++)
		put_prstatus(&b, i);
	for (unsigned i = 0; system && i < MADE_CPUS; i++)
		put_qemu(&b, i, 0xaf9b00);
	if (xsave)
		put_note(&b, "LINUX", NT_X86_XSTATE, area, xsave);
	put_note(&b, "VMCOREINFO", 0, info, sizeof(info) - 1);
	return b;
}

struct segment {
	uint64_t gpa, size;
};

static struct bytes make_core(int system, size_t xsave)
{
	static const struct segment segments[] = {
		{ 0xa000, 0x2000 }, { 0, 0x8000 }, { 0x100000000, 0x2000 },
		{ 0x100000000, 0x1000 }, { 0x100001000, 0x2000 },
	};
	enum { COUNT = sizeof(segments) / sizeof(segments[0]) };
	struct bytes b = { 0 }, notes = make_notes(system, xsave);
	Elf64_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			 .e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			 .e_phoff = sizeof(e), .e_ehsize = sizeof(e),
			 .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = COUNT + 1 };
	uint64_t offset = sizeof(e) + (COUNT + 1) * sizeof(Elf64_Phdr);
	Elf64_Phdr p = { .p_type = PT_NOTE, .p_offset = offset, .p_filesz = notes.size };

	put(&b, &e, sizeof(e));
	put(&b, &p, sizeof(p));
	offset += notes.size;
	for (int i = 0; i < COUNT; i++) {
		p = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offset, .p_paddr = segments[i].gpa,
				  .p_filesz = segments[i].size, .p_memsz = segments[i].size };
		put(&b, &p, sizeof(p));
		offset += segments[i].size;
	}
	put(&b, notes.data, notes.size);
	free(notes.data);
	for (int i = 0; i < COUNT; i++)
		put_memory(&b, segments[i].gpa, segments[i].size);
	return b;
}

struct bytes make_elf64(int system)
{
	return make_core(system, 0);
}

struct bytes make_elf64_with_xsave(size_t size)
{
	return make_core(1, size);
}

struct bytes make_elf32(void)
{
	struct bytes b = { 0 }, notes = { 0 };
	Elf32_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			 .e_type = ET_CORE, .e_machine = EM_386, .e_version = EV_CURRENT,
			 .e_phoff = sizeof(e), .e_ehsize = sizeof(e),
			 .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2 };
	uint32_t offset = sizeof(e) + 2 * sizeof(Elf32_Phdr), prstatus[36] = { 0 };
	Elf32_Phdr p = { .p_type = PT_NOTE, .p_offset = offset };

	prstatus[18] = 0xb;		/* ebx */
	prstatus[18 + 12] = 0xc0100000;	/* eip */
	put_note(&notes, "CORE", NT_PRSTATUS, prstatus, sizeof(prstatus));
	p.p_filesz = (Elf32_Word)notes.size;
	put(&b, &e, sizeof(e));
	put(&b, &p, sizeof(p));
	p = (Elf32_Phdr){ .p_type = PT_LOAD, .p_offset = offset + p.p_filesz, .p_filesz = 0x3000,
			  .p_memsz = 0x3000 };
	put(&b, &p, sizeof(p));
	put(&b, notes.data, notes.size);
	free(notes.data);
	put_memory(&b, 0, 0x3000);
	return b;
}

struct bytes make_lime(void)
{
	static const struct segment ranges[] = { { 0x1000, 0x9ec00 }, { 0x100000, 0x10000 } };
	struct bytes b = { 0 };

	for (size_t i = 0; i < 2; i++) {
		const struct {
			uint32_t magic, version;
			uint64_t first, last, reserved;
		} h = { 0x4c694d45, 1, ranges[i].gpa, ranges[i].gpa + ranges[i].size - 1, 0 };

		put(&b, &h, sizeof(h));
		put_memory(&b, ranges[i].gpa, ranges[i].size);
	}
	return b;
}

struct bytes make_raw(size_t size)
{
	struct bytes b = { 0 };

	put_memory(&b, 0, size);
	return b;
}

#define FRAME 5000u	/* no whole number of pages */

struct bytes make_zstd(const struct bytes *from)
{
	const uint32_t frames = (uint32_t)((from->size + FRAME - 1) / FRAME);
	const struct dump_zstd_footer footer = { frames, 0, DUMP_ZSTD_TABLE_END };
	uint32_t header[2] = { DUMP_ZSTD_SKIPPABLE,
			       (uint32_t)(frames * sizeof(struct dump_zstd_entry) + sizeof(footer)) };
	struct bytes b = { 0 }, table = { 0 };
	static char packed[2 * FRAME];

	for (size_t at = 0; at < from->size; at += FRAME) {
		size_t n = from->size - at < FRAME ? from->size - at : FRAME;
		size_t len = ZSTD_compress(packed, sizeof(packed), from->data + at, n, 1);
		const struct dump_zstd_entry e = { (uint32_t)len, (uint32_t)n };

		put(&b, packed, len);
		put(&table, &e, sizeof(e));
	}
	put(&b, header, sizeof(header));
	put(&b, table.data, table.size);
	put(&b, &footer, sizeof(footer));
	free(table.data);
	return b;
}

int make_file(const struct bytes *b)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < b->size;) {
		ssize_t n = write(fd, b->data + at, b->size - at);

		if (n <= 0)
			abort();
		at += (size_t)n;
	}
	if (fd < 0)
		abort();
	return fd;
}
