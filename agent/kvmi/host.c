/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>
#include <stdlib.h>

#include "agent/refuse.h"
#include "host.h"

#define HASH_SHA1 1	/* QEMU's QCryptoHashAlgorithm, the same in all versions */

static struct {
	const uint8_t *qemu_uuid;
	void *(*qemu_add_vm_change_state_handler)(void (*)(void *, bool running, int state), void *);
	int (*qcrypto_secret_lookup)(const char *id, uint8_t **data, size_t *size, void *error);
	int (*qcrypto_hash_bytes)(int algorithm, const void *data, size_t size, uint8_t **hash,
				  size_t *hash_size, void *error);
} host;

static void (*running_changed)(bool on);

int kvmi_host_init(void)
{
	static const struct {
		const char *name;
		size_t at;
	} wanted[] = {
#define WANTED(name) { #name, offsetof(typeof(host), name) }
		WANTED(qemu_uuid), WANTED(qemu_add_vm_change_state_handler),
		WANTED(qcrypto_secret_lookup), WANTED(qcrypto_hash_bytes),
#undef WANTED
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		void *p = dlsym(RTLD_DEFAULT, wanted[i].name);

		if (!p)
			return refuse("this QEMU has no %s, which the KVMI server needs: leave out "
				      "kvmi=, or use the distributions' 7.2 or 10.0", wanted[i].name);
		*(void **)((char *)&host + wanted[i].at) = p;
	}
	return 0;
}

static void on_change(void *unused, bool running, int state)
{
	(void)unused;
	(void)state;
	running_changed(running);
}

void kvmi_host_watch(void (*running)(bool on))
{
	running_changed = running;
	host.qemu_add_vm_change_state_handler(on_change, NULL);
}

bool kvmi_host_hash(const char *id, uint8_t hash[KVMI_HASH])
{
	size_t size = 0, hash_size = KVMI_HASH;
	uint8_t *secret = NULL, *result = hash;
	bool done;

	if (host.qcrypto_secret_lookup(id, &secret, &size, NULL) < 0)
		return false;
	done = host.qcrypto_hash_bytes(HASH_SHA1, secret, size, &result, &hash_size, NULL) == 0;
	free(secret);
	return done;
}

const uint8_t *kvmi_host_uuid(void)
{
	return host.qemu_uuid;
}
