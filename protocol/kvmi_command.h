/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_KVMI_COMMAND_H
#define SCRY_KVMI_COMMAND_H

/*
 * Payloads of KVMI's commands: what a request has behind its struct kvmi_vcpu, if
 * it has one, and a reply (..._reply) behind its struct kvmi_status.
 */
#include "kvmi.h"

struct kvmi_v7_version_reply {
	uint32_t version;	/* 1 */
	uint32_t pad;		/* 0, where v12 has max_message */
	uint8_t spp, vmfunc, eptp, ve, singlestep;	/* what the processor has: 0 or 1 */
	uint8_t pad2[3];
};

struct kvmi_v12_version_reply {
	uint32_t version;	/* 1 */
	uint32_t max_message;	/* KVMI_PAYLOAD_MOST */
	uint8_t singlestep;
	uint8_t pad[7];
};

KVMI_SIZE(struct kvmi_v7_version_reply, 16);
KVMI_SIZE(struct kvmi_v12_version_reply, 16);
KVMI_AT(struct kvmi_v7_version_reply, singlestep, 12);
KVMI_AT(struct kvmi_v12_version_reply, singlestep, 8);

struct kvmi_check {		/* CHECK_COMMAND, CHECK_EVENT */
	uint16_t id;
	uint16_t pad;
	uint32_t pad2;
};

struct kvmi_info_reply {
	uint32_t vcpus;
	uint32_t pad[3];
};

struct kvmi_control_events {	/* VM_CONTROL_EVENTS, VCPU_CONTROL_EVENTS */
	uint16_t event;
	uint8_t enable;
	uint8_t pad;
	uint32_t pad2;
};

KVMI_SIZE(struct kvmi_check, 8);
KVMI_SIZE(struct kvmi_info_reply, 16);
KVMI_SIZE(struct kvmi_control_events, 8);

/* READ_PHYSICAL, whose reply is the bytes; WRITE_PHYSICAL, where they follow. */
struct kvmi_physical {
	uint64_t gpa;
	uint64_t size;		/* 1 to 4096, in one page (v12: 16 bits of it, then pad) */
};

KVMI_SIZE(struct kvmi_physical, 16);

#define KVMI_PAGE 4096u

/* v7: behind a struct kvmi_vcpu. */
struct kvmi_v7_pause {
	uint8_t wait;		/* 1 = reply when the vCPU has left guest mode */
	uint8_t pad[7];
};

struct kvmi_v12_pause {
	uint16_t vcpu;
	uint8_t wait;
	uint8_t pad;
	uint32_t pad2;
};

KVMI_SIZE(struct kvmi_v7_pause, 8);
KVMI_SIZE(struct kvmi_v12_pause, 8);

struct kvmi_control_cleanup {
	uint8_t enable;
	uint8_t pad[7];
};

KVMI_SIZE(struct kvmi_control_cleanup, 8);

/* SET_PAGE_ACCESS: then `count` entries. */
struct kvmi_v7_page_access {
	uint16_t view;
	uint16_t count;
	uint32_t pad;
};

struct kvmi_v12_page_access {
	uint16_t count;
	uint16_t pad;
	uint32_t pad2;
};

struct kvmi_page_access_entry {
	uint64_t gpa;
	uint8_t access;		/* allowed: KVMI_READ, ...; 7 = as if never set */
	uint8_t pad[7];
};

KVMI_SIZE(struct kvmi_v7_page_access, 8);
KVMI_AT(struct kvmi_v7_page_access, count, 2);
KVMI_SIZE(struct kvmi_v12_page_access, 8);
KVMI_SIZE(struct kvmi_page_access_entry, 16);

#define KVMI_PAGE_ACCESS_MOST 511u	/* entries of a message */

_Static_assert(sizeof(struct kvmi_v12_page_access) +
	       KVMI_PAGE_ACCESS_MOST * sizeof(struct kvmi_page_access_entry) ==
	       KVMI_PAYLOAD_MOST, "a message full of entries");

struct kvmi_v7_number_reply {	/* GET_MAX_GFN, GET_NEXT_GFN */
	uint64_t value;
};

struct kvmi_v7_map_token_reply {
	uint64_t token[4];
};

struct kvmi_v7_control_spp {
	uint8_t enable;
	uint8_t pad[7];
};

struct kvmi_v7_write_bitmap {	/* then `count` entries */
	uint16_t view;
	uint16_t count;
	uint32_t pad;
};

struct kvmi_v7_write_bitmap_entry {
	uint64_t gpa;
	uint32_t bitmap;
	uint32_t pad;
};

KVMI_SIZE(struct kvmi_v7_write_bitmap_entry, 16);

struct kvmi_v7_cmd_response {
	uint8_t enable;		/* 0 = no replies to commands */
	uint8_t now;		/* 1 = from this very command on */
	uint8_t flags;		/* bit 0: commands that fail are events CMD_ERROR */
	uint8_t pad;
	uint32_t pad2;
};

struct kvmi_v7_page_sve {
	uint16_t view;
	uint8_t suppress;
	uint8_t pad;
	uint32_t pad2;
	uint64_t gpa;
};

struct kvmi_v7_query_physical_reply {
	uint64_t gfn, size;
};

struct kvmi_v7_view {		/* CREATE_EPT_VIEW's and GET_EPT_VIEW's reply; DESTROY, SET */
	uint16_t view;
	uint16_t pad[3];
};

struct kvmi_v7_control_view {
	uint16_t view;
	uint8_t visible;
	uint8_t pad;
	uint32_t pad2;
};

KVMI_SIZE(struct kvmi_v7_cmd_response, 8);
KVMI_SIZE(struct kvmi_v7_page_sve, 16);
KVMI_SIZE(struct kvmi_v7_view, 8);
KVMI_SIZE(struct kvmi_v7_control_view, 8);

#define KVMI_V7_VIEWS 3u	/* of the kernel whose source is known */

struct kvmi_v7_ve_info {
	uint64_t gpa;
	uint8_t trigger_vmexit;
	uint8_t pad[7];
};

/*
 * Two layouts that the size alone tells apart, and an old kernel does not look
 * at the size: it takes the newer one's view for old_gfn.
 */
struct kvmi_v7_change_gfn {
	uint64_t old_gfn, new_gfn;
};

struct kvmi_v7_change_gfn_in_view {
	uint16_t view;
	uint16_t pad;
	uint32_t pad2;
	uint64_t old_gfn, new_gfn;
};

KVMI_SIZE(struct kvmi_v7_ve_info, 16);
KVMI_SIZE(struct kvmi_v7_change_gfn, 16);
KVMI_SIZE(struct kvmi_v7_change_gfn_in_view, 24);

/* Registers, as Linux's KVM lays them out. */
struct kvmi_gprs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
};

struct kvmi_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type, present, dpl, db, s, l, g, avl, unusable, pad;
};

struct kvmi_table {
	uint64_t base;
	uint16_t limit;
	uint16_t pad[3];
};

struct kvmi_sregs {
	struct kvmi_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct kvmi_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
	uint64_t interrupts[4];
};

KVMI_SIZE(struct kvmi_gprs, 144);
KVMI_AT(struct kvmi_gprs, rsp, 48);
KVMI_AT(struct kvmi_gprs, rip, 128);
KVMI_SIZE(struct kvmi_segment, 24);
KVMI_AT(struct kvmi_segment, type, 14);
KVMI_AT(struct kvmi_segment, unusable, 22);
KVMI_SIZE(struct kvmi_table, 16);
KVMI_SIZE(struct kvmi_sregs, 312);
KVMI_AT(struct kvmi_sregs, gdt, 192);
KVMI_AT(struct kvmi_sregs, cr0, 224);
KVMI_AT(struct kvmi_sregs, efer, 264);

struct kvmi_get_registers {	/* then `msrs` indexes, 32 bits each */
	uint16_t msrs;
	uint16_t pad;
	uint32_t pad2;
};

struct kvmi_msr {
	uint32_t index;
	uint32_t pad;
	uint64_t value;
};

struct kvmi_registers_reply {	/* then `msrs` of struct kvmi_msr */
	uint32_t mode;		/* bytes of a word: 2, 4 or 8 */
	uint32_t pad;
	struct kvmi_gprs gprs;	/* SET_REGISTERS' request is just this */
	struct kvmi_sregs sregs;
	uint32_t msrs;
	uint32_t pad2;
};

KVMI_SIZE(struct kvmi_get_registers, 8);
KVMI_SIZE(struct kvmi_msr, 16);
KVMI_SIZE(struct kvmi_registers_reply, 472);
KVMI_AT(struct kvmi_registers_reply, sregs, 152);
KVMI_AT(struct kvmi_registers_reply, msrs, 464);

#define KVMI_MSRS_MOST 481u	/* that a reply has room for */

_Static_assert(KVMI_MSRS_MOST == (KVMI_PAYLOAD_MOST - sizeof(struct kvmi_status) -
				  sizeof(struct kvmi_registers_reply)) / sizeof(struct kvmi_msr),
	       "a reply full of MSRs");

struct kvmi_vcpu_info_reply {
	uint64_t tsc_hz;	/* 0 = not known */
};

struct kvmi_cpuid {
	uint32_t leaf, subleaf;
};

struct kvmi_cpuid_reply {
	uint32_t eax, ebx, ecx, edx;
};

struct kvmi_v7_control_cr {
	uint8_t enable;
	uint8_t pad[3];
	uint32_t cr;
};

struct kvmi_v12_control_cr {
	uint8_t cr;
	uint8_t enable;
	uint8_t pad[6];
};

struct kvmi_control_msr {
	uint8_t enable;
	uint8_t pad[3];
	uint32_t msr;
};

KVMI_SIZE(struct kvmi_cpuid_reply, 16);
KVMI_SIZE(struct kvmi_v7_control_cr, 8);
KVMI_AT(struct kvmi_v7_control_cr, cr, 4);
KVMI_SIZE(struct kvmi_v12_control_cr, 8);
KVMI_SIZE(struct kvmi_control_msr, 8);
KVMI_AT(struct kvmi_control_msr, msr, 4);

/* MSRs that CONTROL_MSR takes: below KVMI_MSR_RANGE, and as many from KVMI_MSR_HIGH on. */
#define KVMI_MSR_RANGE 0x2000u
#define KVMI_MSR_HIGH  0xc0000000u

struct kvmi_inject {
	uint8_t vector;
	uint8_t pad;
	uint16_t pad2;
	uint32_t error_code;
	uint64_t cr2;		/* of a page fault */
};

struct kvmi_get_xcr {
	uint8_t xcr;		/* 0 */
	uint8_t pad[7];
};

struct kvmi_xcr_reply {
	uint64_t value;
};

#define KVMI_XSAVE 4096u	/* bytes of GET_XSAVE's reply, of SET_XSAVE's request */

struct kvmi_mtrr {
	uint64_t gpa;
};

struct kvmi_mtrr_reply {
	uint8_t type;
	uint8_t pad[7];
};

struct kvmi_singlestep {
	uint8_t enable;
	uint8_t pad[7];
};

struct kvmi_translate {
	uint64_t gva;
};

struct kvmi_translate_reply {
	uint64_t gpa;		/* or KVMI_UNMAPPED */
};

KVMI_SIZE(struct kvmi_inject, 16);
KVMI_AT(struct kvmi_inject, error_code, 4);
KVMI_SIZE(struct kvmi_get_xcr, 8);
KVMI_SIZE(struct kvmi_mtrr_reply, 8);
KVMI_SIZE(struct kvmi_singlestep, 8);

#endif
