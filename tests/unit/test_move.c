/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Loads and stores that the agent makes in the guest's place, each form of them beside the
 * processor that executes this test.
 */
#include <sys/mman.h>

#include "../lib/test.h"
#include "agent/kvm/move.h"
#include "protocol/bits.h"

#define MEMORY 64u
#define AT     16u	/* what is accessed, in it */
#define LONGEST 15u

/* Where the registers go to and come from; RSP too, so that nothing may be on the stack. */
extern uint64_t native_gpr[16];
extern void *native_code;
void native_run(void);

asm(".local native_gpr\n.comm native_gpr,128,64\n"
    ".local native_code\n.comm native_code,8,8\n"
    ".local native_rsp\n.comm native_rsp,8,8\n"
    ".text\n"
    "native_run:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, native_rsp(%rip)\n"
#define EACH(MOVE) \
	MOVE("rax", "0") MOVE("rcx", "8") MOVE("rdx", "16") MOVE("rbx", "24") \
	MOVE("rsp", "32") MOVE("rbp", "40") MOVE("rsi", "48") MOVE("rdi", "56") \
	MOVE("r8", "64") MOVE("r9", "72") MOVE("r10", "80") MOVE("r11", "88") \
	MOVE("r12", "96") MOVE("r13", "104") MOVE("r14", "112") MOVE("r15", "120")
#define LOAD(reg, at)  "mov native_gpr+" at "(%rip), %" reg "\n"
#define STORE(reg, at) "mov %" reg ", native_gpr+" at "(%rip)\n"
    EACH(LOAD)
    "jmp *native_code(%rip)\n"
    "native_back:\n"
    EACH(STORE)
    "mov native_rsp(%rip), %rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "ret\n");

extern const char native_back[];

/* Executable, and where the instruction is put together. */
static uint8_t *page;

struct state {
	uint64_t gpr[16];
	_Alignas(8) uint8_t memory[MEMORY];
};

static uint8_t *memory;		/* at one place, for addresses */

static void by_processor(struct state *s, const uint8_t *bytes, unsigned len)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };	/* by the address behind it */
	const void *back = native_back;

	memcpy(page, bytes, len);
	memcpy(page + len, jump, sizeof(jump));
	memcpy(page + len + sizeof(jump), &back, sizeof(back));
	memcpy(memory, s->memory, MEMORY);
	memcpy(native_gpr, s->gpr, sizeof(s->gpr));
	native_code = page;
	native_run();
	memcpy(s->gpr, native_gpr, sizeof(s->gpr));
	memcpy(s->memory, memory, MEMORY);
}

/* False: the agent would step it. */
static bool by_agent(struct state *s, const uint8_t *bytes, unsigned len)
{
	struct insn_access access[INSN_ACCESSES];
	struct insn insn = { .rip = (uint64_t)page, .system = { .efer = EFER_LMA, .cs.l = 1 } };
	struct move m;
	uint64_t found;

	memcpy(insn.gpr, s->gpr, sizeof(s->gpr));
	if (!insn_decode(&insn, bytes, len) || !move_of(&insn, &m))
		return false;
	assert_int_equal(insn.is.length, len);
	assert_int_equal(insn_accesses(&insn, access), 1);
	assert_int_equal(access[0].gva, (uint64_t)memory + AT);
	assert_int_equal(access[0].size, m.size);
	memcpy(memory, s->memory, MEMORY);
	found = move_access(&m, memory + AT);
	memcpy(s->memory, memory, MEMORY);
	if (!m.store)
		move_loaded(&m, found, s->gpr);
	return true;
}

static void fill(struct state *s, unsigned base)
{
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = 0x8192a3b4c5d6e7f0 + 0x0101010101010101 * i;
	for (unsigned i = 0; i < MEMORY; i++)
		s->memory[i] = (uint8_t)(0x71 + 29 * i);
	s->gpr[base] = (uint64_t)memory + AT;
}

static unsigned done;

static void both(const uint8_t *bytes, unsigned len, unsigned base)
{
	struct state agent, processor;

	fill(&agent, base);
	fill(&processor, base);
	if (!by_agent(&agent, bytes, len))
		fail_msg("%02x %02x %02x %02x ... is not executed", bytes[0], bytes[1], bytes[2], bytes[3]);
	by_processor(&processor, bytes, len);
	if (memcmp(&agent, &processor, sizeof(agent)) != 0)
		fail_msg("%02x %02x %02x %02x %02x ... gives something else", bytes[0], bytes[1],
			 bytes[2], bytes[3], bytes[4]);
	done++;
}

/* With each of the registers, and the address in RBX or R11. */
static void each_register(const uint8_t *prefix, unsigned prefixes, unsigned rex, const uint8_t *opcode,
			  unsigned opcodes, unsigned immediate)
{
	for (unsigned reg = 0; reg < (immediate ? 1 : 8); reg++) {
		unsigned base = rex & 1 ? 11 : 3, len = 0;
		uint8_t bytes[LONGEST];

		memcpy(bytes, prefix, prefixes);
		len = prefixes;
		if (rex)
			bytes[len++] = (uint8_t)rex;
		memcpy(bytes + len, opcode, opcodes);
		len += opcodes;
		bytes[len++] = (uint8_t)(reg << 3 | 3);
		for (unsigned i = 0; i < immediate; i++)
			bytes[len++] = (uint8_t)(0x93 + i);
		both(bytes, len, base);
	}
}

static void each_form(const uint8_t *opcode, unsigned opcodes, unsigned immediate)
{
	static const uint8_t narrow[] = { 0x66 };

	for (unsigned rex = 0; rex < 16; rex++) {
		unsigned wide = rex & 8, prefix = rex ? 0x40 | rex : 0;

		each_register(narrow, 0, prefix, opcode, opcodes, immediate);
		each_register(narrow, 1, prefix, opcode, opcodes,
			      immediate == 4 && !wide ? 2 : immediate);
	}
}

#define FORMS(immediate, ...) \
	each_form((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), immediate)

static void test_forms(void **unused)
{
	(void)unused;
	FORMS(0, 0x88);
	FORMS(0, 0x89);
	FORMS(0, 0x8a);
	FORMS(0, 0x8b);
	FORMS(1, 0xc6);
	FORMS(4, 0xc7);
	FORMS(0, 0x0f, 0xb6);
	FORMS(0, 0x0f, 0xb7);
	FORMS(0, 0x0f, 0xbe);
	FORMS(0, 0x0f, 0xbf);
	FORMS(0, 0x63);
	assert_true(done > 2000);
}

/* To and from AL to RAX, by an address of eight bytes. */
static void test_absolute(void **unused)
{
	const uint64_t at = (uint64_t)memory + AT;

	(void)unused;
	for (unsigned opcode = 0xa0; opcode <= 0xa3; opcode++)
		for (unsigned prefix = 0; prefix < 3; prefix++) {
			static const uint8_t prefixes[] = { 0, 0x66, 0x48 };
			uint8_t bytes[LONGEST];
			unsigned len = 0;

			if (prefix)
				bytes[len++] = prefixes[prefix];
			bytes[len++] = (uint8_t)opcode;
			memcpy(bytes + len, &at, sizeof(at));
			both(bytes, len + (unsigned)sizeof(at), 3);
		}
}

static void test_stored_past_the_cache(void **unused)
{
	(void)unused;
	both((const uint8_t[]){ 0x0f, 0xc3, 0x03 }, 3, 3);
	both((const uint8_t[]){ 0x48, 0x0f, 0xc3, 0x0b }, 4, 3);
}

/* All that is more than one load or store, or has to do with other registers. */
static void test_others(void **unused)
{
	static const struct {
		const char *what, *bytes;
		unsigned len;
	} others[] = {
#define OTHER(what, bytes) { what, bytes, sizeof(bytes) - 1 }
		OTHER("add %rax,(%rbx)", "\x48\x01\x03"), OTHER("xchg %al,(%rbx)", "\x86\x03"),
		OTHER("movsb", "\xa4"), OTHER("rep stosb", "\xf3\xaa"), OTHER("push %rax", "\x50"),
		OTHER("lock add %rax,(%rbx)", "\xf0\x48\x01\x03"), OTHER("cmp %al,(%rbx)", "\x38\x03"),
		OTHER("mov %es,(%rbx)", "\x8c\x03"), OTHER("mov (%rbx),%ds", "\x8e\x1b"),
		OTHER("mov %rax,%rbx", "\x48\x89\xc3"), OTHER("mov %rax,%cr3", "\x0f\x22\xd8"),
		OTHER("movq %mm0,(%rbx)", "\x0f\x7f\x03"), OTHER("movaps %xmm0,(%rbx)", "\x0f\x29\x03"),
		OTHER("movss %xmm0,(%rbx)", "\xf3\x0f\x11\x03"), OTHER("movbe %eax,(%rbx)", "\x0f\x38\xf1\x03"),
		OTHER("lea (%rbx),%rax", "\x48\x8d\x03"), OTHER("lock mov", "\xf0\x89\x03"),
		OTHER("cmove (%rbx),%eax", "\x0f\x44\x03"), OTHER("half an instruction", "\x48\x89"),
	};

	(void)unused;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct state s;

		fill(&s, 3);
		if (by_agent(&s, (const uint8_t *)others[i].bytes, others[i].len))
			fail_msg("%s is executed", others[i].what);
	}
}

static int set_up(void **unused)
{
	(void)unused;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED || memory == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	return munmap(page, 4096) | munmap(memory, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_absolute),
		cmocka_unit_test(test_stored_past_the_cache),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
