/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <Zydis/Zydis.h>
#include <pthread.h>
#include <stdlib.h>

#include "agent/qemu/cpu.h"
#include "pt_block.h"
#include "pt_packet.h"

/* Blocks by the chunk: vCPUs translate at the same time, and nothing is freed alone. */
#define CHUNK 1024

struct chunk {
	struct chunk *next;
	unsigned count;
	struct pt_block block[CHUNK];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct chunk *chunks;

static struct pt_block *allocate(void)
{
	struct pt_block *block = NULL;

	pthread_mutex_lock(&lock);
	if (!chunks || chunks->count == CHUNK) {
		struct chunk *more = malloc(sizeof(*more));

		if (more) {
			more->next = chunks;
			more->count = 0;
			chunks = more;
		}
	}
	if (chunks && chunks->count < CHUNK)
		block = &chunks->block[chunks->count++];
	pthread_mutex_unlock(&lock);
	return block;
}

void pt_block_free_all(void)
{
	while (chunks) {
		struct chunk *chunk = chunks;

		chunks = chunk->next;
		free(chunk);
	}
}

struct pt_block *pt_block_add(struct qemu_tb *tb)
{
	size_t count = qemu.qemu_plugin_tb_n_insns(tb), len;
	struct qemu_insn *last = qemu.qemu_plugin_tb_get_insn(tb, count - 1);
	uint64_t first = qemu.qemu_plugin_insn_vaddr(qemu.qemu_plugin_tb_get_insn(tb, 0));
	struct pt_block *block = allocate();

	if (!block)
		return NULL;
	len = qemu.qemu_plugin_insn_size(last);
	*block = (struct pt_block){
		.len = qemu.qemu_plugin_insn_vaddr(last) + len - first,
		.insns = (uint16_t)count,
		.last_len = (uint8_t)(len < sizeof(block->last) ? len : sizeof(block->last)),
	};
	qemu_insn_bytes(last, block->last, block->last_len);
	return block;
}

static unsigned mode_of(const struct qemu_cpu *cpu)
{
	if (cpu_hflags(cpu) & HF_CS64)
		return PT_MODE_64;
	return cpu_hflags(cpu) & HF_CS32 ? PT_MODE_32 : PT_MODE_16;
}

static bool decode(const struct pt_block *block, ZydisDecodedInstruction *insn,
		   ZydisDecodedOperand *operands)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth stack;
	} modes[] = {
		[PT_MODE_16] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		[PT_MODE_32] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		[PT_MODE_64] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};
	ZydisDecoder decoder;

	return ZYAN_SUCCESS(ZydisDecoderInit(&decoder, modes[block->mode].mode,
					     modes[block->mode].stack)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, block->last, block->last_len, insn,
						   operands));
}

static bool is_far(const ZydisDecodedInstruction *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_SYSCALL:
	case ZYDIS_MNEMONIC_SYSRET:
	case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_SYSEXIT:
	case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_INT1:
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_INTO:
	case ZYDIS_MNEMONIC_VMCALL:
		return true;
	default:
		return insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	}
}

/* The kind of the block's last instruction, and its target. */
static enum pt_end end_of(struct pt_block *block)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;

	if (!decode(block, &insn, operands))
		return PT_RUNS_ON;
	if (is_far(&insn))
		return PT_FAR;
	if (insn.meta.category == ZYDIS_CATEGORY_RET)
		return PT_INDIRECT;
	if (insn.meta.category != ZYDIS_CATEGORY_COND_BR &&
	    insn.meta.category != ZYDIS_CATEGORY_UNCOND_BR &&
	    insn.meta.category != ZYDIS_CATEGORY_CALL)
		return PT_RUNS_ON;
	if (operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operands[0].imm.is_relative)
		return PT_INDIRECT;
	block->target = block->len + operands[0].imm.value.u;
	return insn.meta.category == ZYDIS_CATEGORY_COND_BR ? PT_CONDITIONAL : PT_DIRECT;
}

void pt_block_know(struct pt_block *block, const struct qemu_cpu *cpu,
		   const struct pt_filter *filter)
{
	bool user = (cpu_hflags(cpu) & HF_CPL) == 3;

	/* Several vCPUs may come by at once, and find the same. */
	block->mode = (uint8_t)mode_of(cpu);
	block->end = (uint8_t)end_of(block);
	block->traced = user ? filter->user : filter->kernel;
	atomic_store_explicit(&block->known, true, memory_order_release);
}
