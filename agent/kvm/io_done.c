/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kvm.h"

/*
 * Of OUTS, and of OUT to one port, KVM has written the registers back before it
 * exits, so that the vCPU stands behind the instruction, or at its next round.
 */

#define QUIRK_PORT   0x7e	/* KVM_X86_QUIRK_OUT_7E_INC_RIP: QEMU's option ROM relies on it */
#define LOOK_BACK    6u		/* bytes: more prefixes nobody writes */

#define OPCODE_OUTS  0x6e	/* and 0x6f */
#define OPCODE_OUT_N 0xe6	/* and 0xe7: port in the next byte */
#define OPCODE_OUT   0xee	/* and 0xef */

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || (byte | 1) == 0xf3 || (byte & 0xe7) == 0x26 ||
	       (byte | 1) == 0x65;
}

static unsigned prefixes(const uint8_t *code, unsigned len)
{
	unsigned n = 0;

	while (n < len && is_prefix(code[n]))
		n++;
	return n;
}

static bool has_prefix(const uint8_t *code, unsigned len, uint8_t prefix)
{
	return memchr(code, prefix, prefixes(code, len));
}

static bool is_outs(uint8_t opcode)
{
	return (opcode | 1) == (OPCODE_OUTS | 1);
}

/* With REP it is at rip still: at its next round, or the one that does nothing. */
static bool repeats(const uint8_t *code, unsigned len)
{
	unsigned n = prefixes(code, len);

	return n < len && is_outs(code[n]) &&
	       (has_prefix(code, len, 0xf3) || has_prefix(code, len, 0xf2));
}

/* Is this, without prefixes, an OUT to the port? */
static bool is_out(const uint8_t *code, unsigned len, uint16_t port, uint16_t dx)
{
	return (len >= 2 && (code[0] | 1) == (OPCODE_OUT_N | 1) && code[1] == port) ||
	       (len >= 1 && (code[0] | 1) == (OPCODE_OUT | 1) && dx == port);
}

/* Length of the instruction that ends where these bytes do, and has made the exit; 0 = none. */
static unsigned behind(const uint8_t *code, unsigned len, uint16_t port, uint16_t dx)
{
	unsigned n = 0;

	if (len >= 1 && is_outs(code[len - 1]) && port == dx)
		n = 1;
	else if (port == QUIRK_PORT && len >= 1 && is_out(code + len - 1, 1, port, dx))
		n = 1;
	else if (port == QUIRK_PORT && len >= 2 && is_out(code + len - 2, 2, port, dx))
		n = 2;
	while (n && n < len && is_prefix(code[len - n - 1]))
		n++;
	return n;
}

static unsigned address_width(const struct kvm_sregs *s, bool other)
{
	if (kvm_is_64bit(s))
		return other ? 32 : 64;
	return s->cs.db != other ? 32 : 16;
}

static uint64_t moved(uint64_t value, int64_t by, unsigned width)
{
	uint64_t mask = width == 64 ? ~UINT64_C(0) : (UINT64_C(1) << width) - 1;

	return ((value + (uint64_t)by) & mask) | (width == 16 ? value & ~mask : 0);
}

/* One round of OUTS less. */
static void take_round_back(const struct kvm_run *run, struct kvm_regs *r, unsigned width, bool rep)
{
	int64_t step = r->rflags & RFLAGS_DF ? -(int64_t)run->io.size : run->io.size;

	r->rsi = moved(r->rsi, -step, width);
	if (rep)
		r->rcx = moved(r->rcx, 1, width);
}

/* The bytes before rip, as many as there are. */
static unsigned code_before(struct kvcpu *k, uint64_t rip, uint8_t *code)
{
	unsigned len = LOOK_BACK;

	while (len && !kvm_virtual(k, rip - len, code, len, false))
		len--;
	return len;
}

bool kvm_out_take_back(struct kvcpu *k, struct kvm_regs *after)
{
	uint16_t port = k->run->io.port;
	uint8_t code[KVM_CODE];
	struct kvm_sregs s;
	struct kvm_regs r;
	unsigned len, n;
	uint64_t rip;

	if (kvm_ioctl(k->fd, KVM_GET_REGS, &r) < 0 || kvm_ioctl(k->fd, KVM_GET_SREGS, &s) < 0)
		return false;
	*after = r;
	rip = kvm_code_address(&s, &r);
	len = kvm_code(k, rip, code);
	if (repeats(code, len)) {
		take_round_back(k->run, &r, address_width(&s, has_prefix(code, len, 0x67)), true);
		return kvm_ioctl(k->fd, KVM_SET_REGS, &r) == 0;
	}
	n = prefixes(code, len);
	if (port != QUIRK_PORT && is_out(code + n, len - n, port, (uint16_t)r.rdx))
		return false;
	len = code_before(k, rip, code);
	n = behind(code, len, port, (uint16_t)r.rdx);
	if (n && is_outs(code[len - 1]))
		take_round_back(k->run, &r, address_width(&s, has_prefix(code + len - n, n, 0x67)), false);
	r.rip -= n;
	return n && kvm_ioctl(k->fd, KVM_SET_REGS, &r) == 0;
}
