/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include <Zydis/Zydis.h>

#include "os.h"

/*
 * Instructions of the kernel's text that events are about, found by decoding it from
 * each symbol to the next.
 */

#define TEXT_MOST (UINT64_C(64) << 20)

/* Behind 0F: a MOV whose ModRM names the register and where its value is. */
static void move(const ZydisDecodedInstruction *insn, enum scry_event_kind kind,
		 struct scry_linux_site *site)
{
	site->kind = (uint32_t)kind;
	site->number = (uint8_t)(insn->raw.modrm.reg | insn->raw.rex.R << 3);
	site->gpr = (uint8_t)(insn->raw.modrm.rm | insn->raw.rex.B << 3);
}

static void table(struct scry_linux_site *site, enum scry_table_reg reg, uint8_t access)
{
	site->kind = SCRY_EVENT_DESCRIPTOR;
	site->number = (uint8_t)reg;
	site->access = access;
}

static void classify_table(ZydisMnemonic mnemonic, struct scry_linux_site *site)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_LGDT: table(site, SCRY_TABLE_GDTR, SCRY_WRITE); break;
	case ZYDIS_MNEMONIC_LIDT: table(site, SCRY_TABLE_IDTR, SCRY_WRITE); break;
	case ZYDIS_MNEMONIC_LLDT: table(site, SCRY_TABLE_LDTR, SCRY_WRITE); break;
	case ZYDIS_MNEMONIC_LTR:  table(site, SCRY_TABLE_TR, SCRY_WRITE); break;
	case ZYDIS_MNEMONIC_SGDT: table(site, SCRY_TABLE_GDTR, SCRY_READ); break;
	case ZYDIS_MNEMONIC_SIDT: table(site, SCRY_TABLE_IDTR, SCRY_READ); break;
	case ZYDIS_MNEMONIC_SLDT: table(site, SCRY_TABLE_LDTR, SCRY_READ); break;
	case ZYDIS_MNEMONIC_STR:  table(site, SCRY_TABLE_TR, SCRY_READ); break;
	default: break;
	}
}

/* False: no event is about it. */
static bool classify(const ZydisDecodedInstruction *insn, struct scry_linux_site *site)
{
	*site = (struct scry_linux_site){ .kind = SCRY_EVENT_COUNT, .len = insn->length,
					  .gpr = SCRY_LINUX_SITE_NO_GPR };
	if (insn->opcode_map != ZYDIS_OPCODE_MAP_0F)
		return false;
	if (insn->opcode == 0x20)
		move(insn, SCRY_EVENT_CR_READ, site);
	else if (insn->opcode == 0x21)
		move(insn, SCRY_EVENT_DR_READ, site);
	else if (insn->opcode == 0x22)
		move(insn, SCRY_EVENT_CR_WRITE, site);
	else if (insn->opcode == 0x23)
		move(insn, SCRY_EVENT_DR_WRITE, site);
	else if (insn->mnemonic == ZYDIS_MNEMONIC_CLTS)
		site->kind = SCRY_EVENT_CR_WRITE;
	else if (insn->mnemonic == ZYDIS_MNEMONIC_CPUID)
		site->kind = SCRY_EVENT_CPUID;
	else if (insn->mnemonic == ZYDIS_MNEMONIC_XSETBV)
		site->kind = SCRY_EVENT_XSETBV;
	else if (insn->mnemonic == ZYDIS_MNEMONIC_VMCALL || insn->mnemonic == ZYDIS_MNEMONIC_VMMCALL)
		site->kind = SCRY_EVENT_HYPERCALL;
	else
		classify_table(insn->mnemonic, site);
	site->vmmcall = insn->mnemonic == ZYDIS_MNEMONIC_VMMCALL;
	return site->kind != SCRY_EVENT_COUNT;
}

struct sweep {
	ZydisDecoder decoder;
	const uint8_t *code;
	uint64_t gva, size;
	uint32_t kinds;
	scry_linux_site_fn fn;
	void *opaque;
};

/* From one symbol to the next; what is no instruction is passed by a byte at a time. */
static int sweep_function(const struct sweep *s, uint64_t at, uint64_t end)
{
	int ret = 0;

	while (at < end && !ret) {
		ZydisDecodedInstruction insn;
		struct scry_linux_site site;

		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&s->decoder, NULL, s->code + at,
								s->size - at, &insn))) {
			at++;
			continue;
		}
		if (classify(&insn, &site) && s->kinds >> site.kind & 1) {
			site.address = s->gva + at;
			ret = s->fn(&site, s->opaque);
		}
		at += insn.length;
	}
	return ret;
}

static int sweep(struct scry_linux *os, const struct sweep *s)
{
	uint64_t first = 0, next;
	int ret = 0;

	for (uint32_t i = 0; i < os->symbols.count && !ret; i++) {
		next = os_kallsyms_address(&os->symbols, i) - s->gva;
		if (next >= s->size || next <= first)
			continue;
		ret = sweep_function(s, first, next);
		first = next;
	}
	return ret ? ret : sweep_function(s, first, s->size);
}

int scry_linux_sites(struct scry_linux *os, uint32_t kinds, scry_linux_site_fn fn, void *opaque)
{
	struct sweep s = { .kinds = kinds, .fn = fn, .opaque = opaque };
	uint8_t *code;
	uint64_t end;
	int ret;

	if (os_symbol(os, "_stext", &s.gva) < 0 || os_symbol(os, "_etext", &end) < 0)
		return SCRY_E_UNSUPPORTED;
	if (end <= s.gva || end - s.gva > TEXT_MOST)
		return os_damaged("the end of its text", end);
	s.size = end - s.gva;
	code = malloc(s.size);
	if (!code)
		return scry_fail(SCRY_E_NOMEM, "there is no memory for a copy of the kernel's text");
	s.code = code;
	ZydisDecoderInit(&s.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ret = os_read(os, s.gva, code, s.size);
	if (ret >= 0)
		ret = sweep(os, &s);
	free(code);
	return ret;
}
