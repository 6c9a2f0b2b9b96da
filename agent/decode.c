/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decode.h"

#define REX_B 1u
#define REX_R 4u

/* Prefixes that change nothing here; LOCK before MOV CR is AMD's way to CR8. */
static bool is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
	case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
		return true;
	}
	return false;
}

static bool decode_mov_cr(uint8_t modrm, uint8_t rex, bool lock, struct site *site)
{
	site->kind = SCRY_EVENT_CR_WRITE;
	site->form = SITE_PLAIN;
	site->cr = (uint8_t)((modrm >> 3 & 7) | (rex & REX_R ? 8 : 0) | (lock ? 8 : 0));
	site->reg = (uint8_t)((modrm & 7) | (rex & REX_B ? 8 : 0));
	return site->cr == 0 || site->cr == 3 || site->cr == 4;
}

static bool decode_lmsw(uint8_t modrm, uint8_t rex, struct site *site)
{
	site->kind = SCRY_EVENT_CR_WRITE;
	site->form = modrm >> 6 == 3 ? SITE_LMSW_REGISTER : SITE_LMSW_MEMORY;
	site->reg = (uint8_t)((modrm & 7) | (rex & REX_B ? 8 : 0));
	return (modrm >> 3 & 7) == 6;
}

static bool decode_0f(const uint8_t *bytes, size_t len, uint8_t rex, bool lock, struct site *site)
{
	uint8_t modrm = len > 1 ? bytes[1] : 0;

	switch (bytes[0]) {
	case 0x01:
		return len > 1 && decode_lmsw(modrm, rex, site);
	case 0x06:
		site->kind = SCRY_EVENT_CR_WRITE;
		site->form = SITE_CLTS;
		return true;
	case 0x22:
		return len > 1 && decode_mov_cr(modrm, rex, lock, site);
	case 0x30:
		site->kind = SCRY_EVENT_MSR_WRITE;
		return true;
	case 0x32:
		site->kind = SCRY_EVENT_MSR_READ;
		return true;
	case 0xa2:
		site->kind = SCRY_EVENT_CPUID;
		return true;
	}
	return false;
}

bool site_decode(const uint8_t *bytes, size_t len, struct site *site)
{
	uint8_t rex = 0;
	bool lock = false;
	size_t i = 0;

	*site = (struct site){ .len = (uint8_t)len };
	for (; i < len && is_prefix(bytes[i]); i++)
		lock |= bytes[i] == 0xf0;
	/* Outside 64-bit mode these are whole instructions, so that nothing follows. */
	if (i + 1 < len && (bytes[i] & 0xf0) == 0x40)
		rex = bytes[i++];
	if (i >= len)
		return false;
	if (bytes[i] == 0xcc || (bytes[i] == 0xcd && i + 1 < len && bytes[i + 1] == 3)) {
		site->kind = SCRY_EVENT_INT3;
		return true;
	}
	return bytes[i] == 0x0f && i + 1 < len &&
	       decode_0f(bytes + i + 1, len - i - 1, rex, lock, site);
}
