/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <Zydis/Zydis.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "detour.h"
#include "image.h"

#define JUMP_OPCODE  0xe9	/* jmp rel32 */
#define JUMP_SIZE    5
#define FAR_SIZE     14		/* jmp *(rip); .quad target */
#define PATCH_MOST   32		/* bytes of code moved at most */
#define PAGES_SIZE   16384
#define REACH        0x70000000ul
#define ENDBR64_SIZE 4

static const uint8_t endbr64[ENDBR64_SIZE] = { 0xf3, 0x0f, 0x1e, 0xfa };

/* Executable memory within reach of a jmp rel32 from QEMU's code. */
static struct {
	uint8_t *at;
	size_t used;
} pages;

#define DETOURS 64

/* All that there are, so that they can be lifted and put in place once more. */
static struct placed {
	uint8_t *at;
	void *hook, *original;
	uint8_t code[JUMP_SIZE], jump[JUMP_SIZE];	/* without, and with it */
} placed[DETOURS];
static unsigned count;

static bool reaches(const uint8_t *from, const uint8_t *to)
{
	return to - from == (int32_t)(to - from);
}

static uint8_t *map_near(uintptr_t target)
{
	uintptr_t top = (target & ~(uintptr_t)0xfffff) - 0x1000000;

	for (uintptr_t at = top; at < target && target - at < REACH; at -= 0x100000) {
		void *p = mmap((void *)at, PAGES_SIZE, PROT_READ | PROT_EXEC,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p == (void *)at)
			return p;
		if (p != MAP_FAILED)
			munmap(p, PAGES_SIZE);
	}
	return NULL;
}

/* Room for len bytes of code near target, or NULL. */
static uint8_t *near_alloc(uintptr_t target, size_t len)
{
	uint8_t *p;

	if (!pages.at)
		pages.at = map_near(target);
	if (!pages.at || pages.used + len > PAGES_SIZE)
		return NULL;
	p = pages.at + pages.used;
	pages.used += (len + 15) & ~(size_t)15;
	return reaches((uint8_t *)target, p) ? p : NULL;
}

/* Make the rel32 or rip-relative displacement at code[at] right for its new place. */
static bool shift(uint8_t *code, size_t at, int64_t by)
{
	int32_t value;
	int64_t moved;

	memcpy(&value, code + at, sizeof(value));
	moved = value + by;
	value = (int32_t)moved;
	memcpy(code + at, &value, sizeof(value));
	return value == moved;
}

static bool relocate(const ZydisDecodedInstruction *insn, uint8_t *code, int64_t by)
{
	if (!(insn->attributes & ZYDIS_ATTRIB_IS_RELATIVE))
		return true;
	if (insn->raw.disp.size == 32)
		return shift(code, insn->raw.disp.offset, by);
	if (insn->raw.imm[0].is_relative && insn->raw.imm[0].size == 32)
		return shift(code, insn->raw.imm[0].offset, by);
	return false;
}

/* Copy whole instructions, at least JUMP_SIZE bytes, to run at to.  Their length, or 0. */
static size_t move(const uint8_t *from, const uint8_t *to, uint8_t *copy)
{
	ZydisDecoder decoder;
	size_t len = 0;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	while (len < JUMP_SIZE) {
		ZydisDecodedInstruction insn;

		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, from + len,
								ZYDIS_MAX_INSTRUCTION_LENGTH,
								&insn)) ||
		    len + insn.length > PATCH_MOST)
			return 0;
		memcpy(copy + len, from + len, insn.length);
		if (!relocate(&insn, copy + len, from - to))
			return 0;
		len += insn.length;
	}
	return len;
}

static void put_jump(uint8_t *code, const uint8_t *at, const uint8_t *target)
{
	int32_t distance = (int32_t)(target - (at + JUMP_SIZE));

	code[0] = JUMP_OPCODE;
	memcpy(code + 1, &distance, sizeof(distance));
}

static void put_far_jump(uint8_t *code, const void *target)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };

	memcpy(code, jump, sizeof(jump));
	memcpy(code + sizeof(jump), &target, sizeof(target));
}

static struct placed *find(const uint8_t *at, const void *hook)
{
	for (unsigned i = 0; i < count; i++)
		if (placed[i].at == at && placed[i].hook == hook)
			return &placed[i];
	return NULL;
}

/* The stub: first the way to the hook, then the moved code and the way back. */
static const char *make(struct placed *p)
{
	uint8_t code[FAR_SIZE + PATCH_MOST + JUMP_SIZE];
	uint8_t *stub = near_alloc((uintptr_t)p->at, sizeof(code));
	size_t len;

	if (!stub)
		return "no free address space near QEMU's code";
	put_far_jump(code, p->hook);
	len = move(p->at, stub + FAR_SIZE, code + FAR_SIZE);
	if (!len)
		return "its first instructions cannot be moved";
	put_jump(code + FAR_SIZE + len, stub + FAR_SIZE + len, p->at + len);
	put_jump(p->jump, p->at, stub);
	memcpy(p->code, p->at, JUMP_SIZE);
	p->original = stub + FAR_SIZE;
	return image_patch(stub, code, sizeof(code)) < 0 ? "QEMU's code cannot be written" : NULL;
}

const char *detour_install(void *function, void *hook, void **original)
{
	uint8_t *from = function;
	const char *why = NULL;
	struct placed *p;

	if (memcmp(from, endbr64, sizeof(endbr64)) == 0)
		from += sizeof(endbr64);
	if (*from == JUMP_OPCODE)
		return "it is detoured already, by another agent perhaps";
	p = find(from, hook);
	if (!p && count == DETOURS)
		return "there are too many detours";
	if (!p) {
		p = &placed[count];
		*p = (struct placed){ .at = from, .hook = hook };
		why = make(p);
		count += !why;
	}
	if (why)
		return why;
	*original = p->original;
	return image_patch(from, p->jump, JUMP_SIZE) < 0 ? "QEMU's code cannot be written" : NULL;
}

void detours_lift(void)
{
	for (unsigned i = 0; i < count; i++)
		image_patch(placed[i].at, placed[i].code, JUMP_SIZE);
}
