/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../driver.h"
#include "address.h"

#define SECRET_MOST 4096

/* The hash that QEMU compares, by whichever OpenSSL is installed. */
static int hash(const void *secret, size_t len, uint8_t *cookie)
{
	static const char *const names[] = { "libcrypto.so.3", "libcrypto.so.1.1" };
	unsigned char *(*sha1)(const unsigned char *, size_t, unsigned char *) = NULL;
	void *library = NULL;

	for (size_t i = 0; !library && i < sizeof(names) / sizeof(names[0]); i++)
		library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (library)
		*(void **)&sha1 = dlsym(library, "SHA1");
	if (sha1)
		sha1(secret, len, cookie);
	if (library)
		dlclose(library);
	return sha1 ? 0 : scry_fail(SCRY_E_UNSUPPORTED, "a key for KVMI needs OpenSSL's libcrypto: "
				    "install libssl3");
}

static int hash_file(const char *path, uint8_t *cookie)
{
	char secret[SECRET_MOST + 1];
	FILE *f = fopen(path, "re");
	size_t len;
	bool failed;

	if (!f)
		return scry_fail(errno == EACCES ? SCRY_E_PERM : SCRY_E_NOTFOUND,
				 "cannot read the key from %s: %s", path, strerror(errno));
	len = fread(secret, 1, sizeof(secret), f);
	failed = ferror(f);
	fclose(f);
	if (failed || !len || len > SECRET_MOST)
		return scry_fail(SCRY_E_INVAL, "%s holds no key of 1 to %d bytes", path, SECRET_MOST);
	return hash(secret, len, cookie);
}

static int parse_key(const char *text, uint8_t *cookie)
{
	if (!strncmp(text, "key=", 4) && text[4])
		return hash(text + 4, strlen(text + 4), cookie);
	if (!strncmp(text, "key-file=", 9) && text[9])
		return hash_file(text + 9, cookie);
	return scry_fail(SCRY_E_INVAL, "behind the socket's path comes ,key=SECRET or "
			 ",key-file=FILE, not ',%.40s'", text);
}

int kvmi_address_parse(const char *text, struct kvmi_address *address)
{
	const char *comma = strchr(text, ',');
	size_t len = comma ? (size_t)(comma - text) : strlen(text);

	*address = (struct kvmi_address){ .socket.sun_family = AF_UNIX };
	if (!memchr(text, '/', len))
		return scry_fail(SCRY_E_INVAL, "kvmi:%s names no socket: give the path that QEMU's "
				 "-chardev connects to, kvmi:/path.sock", text);
	if (len >= sizeof(address->socket.sun_path))
		return scry_fail(SCRY_E_INVAL, "the socket's path is longer than %zu bytes",
				 sizeof(address->socket.sun_path) - 1);
	memcpy(address->socket.sun_path, text, len);
	return comma ? parse_key(comma + 1, address->cookie) : 0;
}
