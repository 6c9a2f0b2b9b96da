/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../peer.h"
#include "kvmi.h"

/* Calls that are made at a time: more than are ever under way. */
#define CALLS 256

struct pages {
	struct kvmi_vm *k;
	enum kvmi_command command;
	size_t count;
	struct kvmi_call call[CALLS];
};

static int flush(struct pages *p)
{
	size_t count = p->count;
	int ret = kvmi_calls(p->k, p->call, count);

	p->count = 0;
	for (size_t i = 0; !ret && i < count; i++)
		if (p->call[i].err)
			ret = kvmi_refused(p->k, &p->call[i]);
	return ret;
}

/* Read or write [gpa, gpa + len), of which a message is at most what lies in one page. */
static int add(struct pages *p, uint64_t gpa, char *buf, size_t len)
{
	int ret = 0;

	while (!ret && len) {
		size_t n = KVMI_PAGE - gpa % KVMI_PAGE;
		struct kvmi_call *call = &p->call[p->count++];

		n = n < len ? n : len;
		*call = kvmi_memory_call(p->command, gpa, n);
		if (p->command == KVMI_READ_PHYSICAL) {
			call->reply = buf;
			call->reply_min = call->reply_max = n;
		} else {
			call->data = buf;
			call->data_len = n;
		}
		gpa += n;
		buf += n;
		len -= n;
		if (p->count == CALLS)
			ret = flush(p);
	}
	return ret;
}

int kvmi_read(struct scry_vm *vm, const struct scry_map *map, const struct scry_piece *piece,
	      size_t count)
{
	struct pages p = { .k = kvmi_of(vm), .command = KVMI_READ_PHYSICAL };
	int ret = 0;

	if (p.k->can_peek && scry_peek(vm->pid, piece, count) &&
	    __atomic_load_n(map->ram.life, __ATOMIC_ACQUIRE) == map->ram.life_seen)
		return 0;
	for (size_t i = 0; !ret && i < count; i++)
		ret = add(&p, piece[i].gpa, piece[i].buf, piece[i].len);
	return ret ? ret : flush(&p);
}

int kvmi_write(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len)
{
	struct pages p = { .k = kvmi_of(vm), .command = KVMI_WRITE_PHYSICAL };
	int ret = add(&p, gpa, (char *)buf, len);

	return ret ? ret : flush(&p);
}
