/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/memory/memory_map.h"
#include "agent/qemu/qemu.h"
#include "alias.h"
#include "slot.h"

#define NO_MEMORY "QEMU has no memory left for a second mapping of the guest's RAM"

#define ARRIVES \
	"the VM arrives by migration, or a snapshot is taken in the background, which a second " \
	"mapping of its RAM would go behind: try again when that is done"

#define RUN_STATE_INMIGRATE 1	/* QEMU's RunState, the same in all versions */

struct aliases aliases;
static bool in_doubt;

/* The regions of RAM that can be shared, and the blocks that they are of. */
struct found {
	unsigned count;
	bool huge;		/* some cannot, for their pages' size */
	struct shared {
		struct scry_agent_region is;
		int fd;
		uint64_t inode;
		uint64_t host, size, page;
	} at[SCRY_AGENT_REGIONS];
};

static struct found known;	/* when they were made */

static bool find_block(struct shared *s)
{
	uint64_t offset;
	struct qemu_block *block = qemu.qemu_ram_block_from_host((void *)s->is.host, false, &offset);
	struct stat st;

	if (!block || fstat(s->fd, &st) < 0)
		return false;
	s->inode = st.st_ino;
	s->host = (uint64_t)qemu.qemu_ram_get_host_addr(block);
	s->size = qemu.qemu_ram_get_used_length(block);
	s->page = qemu.qemu_ram_pagesize(block);
	return s->is.host - s->host < s->size && s->is.size <= s->size - (s->is.host - s->host);
}

static void find_shared(struct found *found)
{
	struct scry_agent_region region[SCRY_AGENT_REGIONS];
	const struct memory_map *map = memory_map();
	int files[SCRY_AGENT_FILES];

	memset(found, 0, sizeof(*found));
	memcpy(region, map->region, sizeof(map->region));
	memory_map_files(map, region, files);
	for (unsigned i = 0; i < map->count; i++) {
		struct shared *s = &found->at[found->count];

		if (region[i].file < 0 || region[i].flags)
			continue;
		s->is = region[i];
		s->fd = files[region[i].file];
		if (!find_block(s) || s->page != ALIAS_PAGE)
			found->huge |= s->page > ALIAS_PAGE;
		else
			found->count++;
	}
}

static const char *lack(const struct found *found)
{
	if (found->count)
		return NULL;
	return found->huge ? "guest RAM is in huge pages, which can be trapped as a whole only: use a "
			     "memory backend without hugetlb" :
			     "guest RAM is private to QEMU: use scry run, or -object "
			     "memory-backend-memfd,id=ram,size=SIZE,share=on -machine memory-backend=ram";
}

const char *aliases_lack(void)
{
	struct found found;

	find_shared(&found);
	return lack(&found);
}

static void free_alias(struct alias *a, uint64_t size)
{
	munmap(a->memory, size);
	close(a->fd);
	free(a->is);
	free(a->busy);
	free(a->held);
	free(a->copy);
	*a = (struct alias){ 0 };
}

static struct alias *add(const struct shared *s)
{
	struct alias *a = aliases.alias;
	void *p;

	while (a < aliases.alias + aliases.count && a->size)
		a++;
	if (a == aliases.alias + SCRY_AGENT_REGIONS)
		return NULL;
	*a = (struct alias){ .host = s->host, .size = s->size, .inode = s->inode,
			     .file_offset = s->is.file_offset - (s->is.host - s->host) };
	p = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)a->file_offset);
	a->memory = p == MAP_FAILED ? NULL : p;
	a->fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	a->is = calloc(a->size / ALIAS_PAGE, sizeof(*a->is));
	a->busy = calloc(a->size / ALIAS_PAGE / ALIAS_CHUNK + 1, sizeof(*a->busy));
	a->held = calloc(a->size / ALIAS_PAGE, sizeof(*a->held));
	a->copy = calloc(a->size / ALIAS_PAGE, sizeof(*a->copy));
	if (!a->memory || a->fd < 0 || !a->is || !a->busy || !a->held || !a->copy) {
		free_alias(a, a->memory ? a->size : 0);
		return NULL;
	}
	if (a == aliases.alias + aliases.count)
		aliases.count++;
	return a;
}

static struct alias *find(uint64_t host, uint64_t size)
{
	for (unsigned i = 0; i < aliases.count; i++) {
		struct alias *a = &aliases.alias[i];
		uint64_t at = host - a->host;

		if (at < a->size && size <= a->size - at)
			return a;
	}
	return NULL;
}

static bool make_parts(void)
{
	aliases.parts = 0;
	for (unsigned i = 0; i < known.count; i++) {
		const struct scry_agent_region *r = &known.at[i].is;
		struct alias *a = find(r->host, r->size);

		a = a ? a : add(&known.at[i]);
		if (!a)
			return false;
		aliases.part[aliases.parts++] = (struct part){
			.gfn = r->gpa / ALIAS_PAGE, .pages = r->size / ALIAS_PAGE, .alias = a,
			.first = (r->host - a->host) / ALIAS_PAGE,
		};
	}
	return true;
}

/* Has one another file where its block was? */
static bool any_stale(void)
{
	for (unsigned i = 0; i < known.count; i++) {
		const struct alias *a = find(known.at[i].host, 1);

		if (a && (a->inode != known.at[i].inode || a->size != known.at[i].size))
			return true;
	}
	return false;
}

static bool is_used(const struct alias *a)
{
	for (unsigned i = 0; i < aliases.parts; i++)
		if (aliases.part[i].alias == a)
			return true;
	return false;
}

/* Take those away that no part is in.  NULL, or why slots must stay in them. */
static const char *drop_unused(void)
{
	uint64_t size[SCRY_AGENT_REGIONS];
	const char *why;

	for (unsigned i = 0; i < aliases.count; i++) {
		size[i] = aliases.alias[i].size;
		if (!is_used(&aliases.alias[i]))
			aliases.alias[i].size = 0;
	}
	why = slots_move();
	for (unsigned i = 0; i < aliases.count; i++) {
		struct alias *a = &aliases.alias[i];

		if (why)
			a->size = size[i];
		else if (size[i] && !a->size)
			free_alias(a, size[i]);
	}
	return why;
}

/* Does QEMU have userfaultfd tell it of accesses, which are those by its own mapping? */
static bool userfaults(void)
{
	return qemu.runstate_check(RUN_STATE_INMIGRATE) || qemu.migration_in_incoming_postcopy() ||
	       qemu.migration_in_bg_snapshot();
}

const char *aliases_make(void)
{
	bool made, anew = aliases.count;
	const char *why;

	find_shared(&known);
	if (!anew && lack(&known))
		return lack(&known);
	if (!anew && userfaults())
		return ARRIVES;
	if (any_stale())
		aliases_drop();
	if (any_stale())
		return STAYS;
	made = make_parts();
	in_doubt = false;
	why = drop_unused();
	if (made && !why)
		return NULL;
	if (!anew)
		aliases_drop();
	return why ? why : NO_MEMORY;
}

bool aliases_current(void)
{
	struct found now;

	find_shared(&now);
	if (memcmp(&now, &known, sizeof(now)) != 0)
		return false;
	in_doubt = false;
	return !slots_move();
}

void aliases_drop(void)
{
	aliases.parts = 0;
	if (!drop_unused())
		aliases.count = 0;
}

struct alias *alias_of(uint64_t gfn, uint64_t *page)
{
	for (unsigned i = 0; i < aliases.parts; i++) {
		const struct part *p = &aliases.part[i];

		if (gfn - p->gfn >= p->pages)
			continue;
		*page = p->first + (gfn - p->gfn);
		return p->alias;
	}
	return NULL;
}

void aliases_doubt(void)
{
	in_doubt = true;
}

uint64_t alias_place(uint64_t host, uint64_t size)
{
	const struct alias *a = in_doubt ? NULL : find(host, size);

	return a ? (uint64_t)a->memory + (host - a->host) : host;
}
