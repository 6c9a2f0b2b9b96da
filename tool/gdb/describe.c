/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "../common/message.h"
#include "describe.h"
#include "gdb.h"

#define INT(name, field, bits, type) { name, type, bits, field, 0, 0, NULL }
#define R64(name)        INT(name, name, 64, "int64")
#define SEG(name)        INT(name, name, 32, "int32")
#define ST(n)            { "st" #n, "i387_ext", 80, NULL, 32 + 16 * n, 10, NULL }
#define XMM(n)           { "xmm" #n, "vec128", 128, NULL, 160 + 16 * n, 16, NULL }
#define FPU(name, offset, bytes) { name, "int", 32, NULL, offset, bytes, NULL }

#define CORE   "org.gnu.gdb.i386.core"
#define SSE    "org.gnu.gdb.i386.sse"
#define BASES  "org.gnu.gdb.i386.segments"
#define SYSTEM "org.scry.i386.system"

/* The first three features are as GDB defines them for amd64, in its order. */
const struct gdb_reg gdb_regs[] = {
	{ "rax", "int64", 64, "rax", 0, 0, CORE },
	R64("rbx"), R64("rcx"), R64("rdx"), R64("rsi"), R64("rdi"),
	INT("rbp", "rbp", 64, "data_ptr"), INT("rsp", "rsp", 64, "data_ptr"),
	R64("r8"), R64("r9"), R64("r10"), R64("r11"), R64("r12"), R64("r13"), R64("r14"), R64("r15"),
	INT("rip", "rip", 64, "code_ptr"), INT("eflags", "rflags", 32, "int32"),
	SEG("cs"), SEG("ss"), SEG("ds"), SEG("es"), SEG("fs"), SEG("gs"),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FPU("fctrl", 0, 2), FPU("fstat", 2, 2), FPU("ftag", 4, 1), FPU("fiseg", 12, 2),
	FPU("fioff", 8, 4), FPU("foseg", 20, 2), FPU("fooff", 16, 4), FPU("fop", 6, 2),
	{ "xmm0", "vec128", 128, NULL, 160, 16, SSE },
	XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8), XMM(9), XMM(10), XMM(11),
	XMM(12), XMM(13), XMM(14), XMM(15), FPU("mxcsr", 24, 4),
	{ "fs_base", "int64", 64, "fs.base", 0, 0, BASES },
	INT("gs_base", "gs.base", 64, "int64"),
	{ "cr0", "int64", 64, "cr0", 0, 0, SYSTEM },
	R64("cr2"), R64("cr3"), R64("cr4"), R64("cr8"), R64("efer"), R64("xcr0"),
	R64("dr0"), R64("dr1"), R64("dr2"), R64("dr3"), R64("dr6"), R64("dr7"),
	INT("gdtr_base", "gdtr.base", 64, "data_ptr"), INT("gdtr_limit", "gdtr.limit", 32, "int32"),
	INT("idtr_base", "idtr.base", 64, "data_ptr"), INT("idtr_limit", "idtr.limit", 32, "int32"),
	SEG("tr"), INT("tr_base", "tr.base", 64, "data_ptr"),
	SEG("ldtr"), INT("ldtr_base", "ldtr.base", 64, "data_ptr"),
	INT("cs_base", "cs.base", 64, "int64"), INT("cs_attr", "cs.attr", 32, "int32"),
	INT("ss_base", "ss.base", 64, "int64"), INT("ss_attr", "ss.attr", 32, "int32"),
};

const unsigned gdb_reg_count = sizeof(gdb_regs) / sizeof(gdb_regs[0]);

static void print_features(FILE *f)
{
	for (unsigned i = 0; i < gdb_reg_count; i++) {
		const struct gdb_reg *r = &gdb_regs[i];

		if (r->feature)
			fprintf(f, "%s<feature name=\"%s\">\n", i ? "</feature>\n" : "", r->feature);
		if (r->feature && r->bits == 128)
			fputs("<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
			      "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
			      "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
			      "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
			      "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
			      "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
			      "<field name=\"v2_double\" type=\"v2d\"/>"
			      "<field name=\"v16_int8\" type=\"v16i8\"/>"
			      "<field name=\"v4_int32\" type=\"v4i32\"/>"
			      "<field name=\"v2_int64\" type=\"v2i64\"/>"
			      "<field name=\"uint128\" type=\"uint128\"/></union>\n", f);
		fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>\n", r->name, r->bits,
			r->type);
	}
	fputs("</feature>\n", f);
}

/* OFFSET,LENGTH of it: 'm' before it if there is more behind, 'l' if not. */
void gdb_describe(struct gdb *g, const char *range)
{
	uint64_t offset, len;
	size_t size = 0;
	char *xml = NULL;
	FILE *f;

	if (!take_hex(&range, &offset) || !take_text(&range, ",") || !take_hex(&range, &len)) {
		gdb_fail(g, "malformed qXfer");
		return;
	}
	f = checked(open_memstream(&xml, &size));
	fputs("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
	      "<architecture>i386:x86-64</architecture>\n", f);
	print_features(f);
	fputs("</target>\n", f);
	fclose(f);
	if (offset > size)
		offset = size;
	if (len > PACKET_MOST / 2)
		len = PACKET_MOST / 2;
	if (len > size - offset)
		len = size - offset;
	out_text(&g->out, offset + len < size ? "m" : "l");
	out_escaped(&g->out, xml + offset, len);
	free(xml);
}
