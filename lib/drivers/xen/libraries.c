/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../driver.h"
#include "libraries.h"

/* Releases whose libxenctrl has all of the functions as 4.17's headers declare them. */
#define FIRST_MINOR 15
#define LAST_MINOR  20

static void say_nothing(struct xentoollog_logger *logger, xentoollog_level level, int error,
			const char *context, const char *format, va_list args)
{
	(void)logger;
	(void)level;
	(void)error;
	(void)context;
	(void)format;
	(void)args;
}

struct xentoollog_logger xen_silence = { .vmessage = say_nothing };

static int read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	int number = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

bool xen_is_here(void)
{
	return access("/dev/xen/privcmd", F_OK) == 0 || access("/proc/xen/privcmd", F_OK) == 0;
}

/* Of the Xen that runs. */
static int find_release(int *major, int *minor)
{
	*major = read_number("/sys/hypervisor/version/major");
	*minor = read_number("/sys/hypervisor/version/minor");
	if (!xen_is_here() || *major < 0 || *minor < 0)
		return scry_fail(SCRY_E_UNSUPPORTED, "there is no Xen here: this must run in dom0, "
				 "with the kernel's module xen-privcmd loaded");
	if (*major == 4 && *minor >= FIRST_MINOR && *minor <= LAST_MINOR)
		return 0;
	return scry_fail(SCRY_E_VERSION, "Xen %d.%d runs here: scry knows 4.%d to 4.%d", *major,
			 *minor, FIRST_MINOR, LAST_MINOR);
}

static void *load(const char *name)
{
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		scry_fail(SCRY_E_UNSUPPORTED, "cannot load %s, which belongs to the Xen that runs "
			  "here (Debian has it in libxenmisc4.* and libxen*1): %s", name, dlerror());
	return handle;
}

static int missing(const char *name)
{
	return scry_fail(SCRY_E_VERSION, "Xen's libraries here have no %s(): they are of a release "
			 "that scry does not know", name);
}

#define FIND(handle, name) \
	do { \
		l->name = (__typeof__(l->name))dlsym(l->handle, #name); \
		if (!l->name) \
			return missing(#name); \
	} while (0);
#define FIND_CTRL(name)   FIND(ctrl_handle, name)
#define FIND_MEMORY(name) FIND(memory_handle, name)
#define FIND_STORE(name)  FIND(store_handle, name)

static int find_all(struct xen_libraries *l)
{
	XEN_CTRL_FUNCTIONS(FIND_CTRL)
	XEN_MEMORY_FUNCTIONS(FIND_MEMORY)
	return 0;
}

/* Not all hosts run xenstored. */
static int find_store(struct xen_libraries *l)
{
	XEN_STORE_FUNCTIONS(FIND_STORE)
	return 0;
}

static void load_store(struct xen_libraries *l)
{
	static const char *const names[] = { "libxenstore.so.4", "libxenstore.so.3.0" };

	for (size_t i = 0; !l->store_handle && i < sizeof(names) / sizeof(names[0]); i++)
		l->store_handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!l->store_handle || find_store(l) < 0)
		l->xs_open = NULL;
}

int xen_load(struct xen_libraries *l)
{
	char ctrl[32];
	int major, minor, ret;

	memset(l, 0, sizeof(*l));
	ret = find_release(&major, &minor);
	if (ret < 0)
		return ret;
	l->minor = minor;
	snprintf(ctrl, sizeof(ctrl), "libxenctrl.so.%d.%d", major, minor);
	l->ctrl_handle = load(ctrl);
	if (l->ctrl_handle)
		l->memory_handle = load("libxenforeignmemory.so.1");
	ret = l->memory_handle ? find_all(l) : SCRY_E_UNSUPPORTED;
	if (ret < 0)
		xen_unload(l);
	else
		load_store(l);
	return ret;
}

void xen_unload(struct xen_libraries *l)
{
	void *handles[] = { l->store_handle, l->memory_handle, l->ctrl_handle };

	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
		if (handles[i])
			dlclose(handles[i]);
	memset(l, 0, sizeof(*l));
}
