/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ram.h"
#include "os.h"

/* What is not the kernel that runs is passed by, but is the answer if there is no other. */
static int reject(struct scry_linux *os, int code)
{
	scry_as_free(os->as);
	os->as = NULL;
	os_kallsyms_free(&os->symbols);
	if (code != SCRY_E_STATE && code != SCRY_E_UNSUPPORTED)
		return code;
	os->rejected = code;
	snprintf(os->why, sizeof(os->why), "%s", scry_errmsg());
	return SCRY_E_NOTFOUND;
}

static int try_place(struct scry_linux *os, uint64_t gpa)
{
	int ret = os_kallsyms_read(os->vm, gpa, &os->symbols);

	if (!ret)
		ret = os_image_check(os);
	return ret < 0 ? reject(os, ret) : 0;
}

static int none_found(const struct scry_linux *os)
{
	if (os->rejected)
		return scry_fail(os->rejected, "%s", os->why);
	return scry_fail(SCRY_E_NOTFOUND, "VM %s runs no Linux that scry knows, or not yet: no table "
			 "of kernel symbols (kallsyms, x86-64) is in its memory", os->vm->name);
}

int scry_linux_open(struct scry_vm *vm, struct scry_linux **os)
{
	struct scry_linux *new = calloc(1, sizeof(*new));
	int ret;

	*os = NULL;
	if (!new)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the guest's kernel");
	new->vm = vm;
	ret = os_search(new, try_place);
	if (ret == SCRY_E_NOTFOUND)
		ret = none_found(new);
	if (!ret)
		ret = os_layout_read(new);
	if (ret < 0) {
		scry_linux_close(new);
		return ret;
	}
	*os = new;
	return 0;
}

void scry_linux_close(struct scry_linux *os)
{
	if (!os)
		return;
	btf__free(os->btf);
	scry_as_free(os->as);
	os_kallsyms_free(&os->symbols);
	free(os);
}

int scry_linux_info(struct scry_linux *os, struct scry_linux_info *info)
{
	size_t size = info ? info->sz : 0;
	struct scry_linux_info full = { .sz = size };
	const char *release = os->banner + strlen("Linux version ");

	if (size < sizeof(info->sz) || size > sizeof(full))
		return scry_fail(SCRY_E_INVAL, "scry_linux_info.sz must be sizeof(struct "
				 "scry_linux_info)");
	snprintf(full.release, sizeof(full.release), "%.*s", (int)strcspn(release, " \n"), release);
	snprintf(full.banner, sizeof(full.banner), "%.*s", (int)strcspn(os->banner, "\n"),
		 os->banner);
	full.text_gva = os->image.gva;
	full.text_gpa = os->image.gpa;
	full.root = scry_as_root(os->as);
	full.symbols = os->symbols.count;
	full.types = os->btf ? btf__type_cnt(os->btf) : 0;
	memcpy(info, &full, size);
	return 0;
}

struct scry_as *scry_linux_as(struct scry_linux *os)
{
	return os->as;
}
