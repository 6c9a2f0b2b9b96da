/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../protocol/text.h"
#include "xen.h"

#define STORE "/var/run/xenstored/socket"

/* Longer than xen_domctl_getdomaininfo is in any release. */
#define INFO_SIZE 512

/* Is xenstored in a domain of its own, and not in this one? */
static bool is_store_elsewhere(struct xen_host *host)
{
	struct xen_domain domain;

	for (uint32_t id = 0; xen_domain_next(host, id, &domain) > 0; id = domain.id + 1)
		if (domain.flags & XEN_DOMINF_xs_domain)
			return true;
	return false;
}

/* Does it listen here?  Its socket is where libxenstore looks for it, too. */
static bool is_store_here(void)
{
	const char *path = getenv("XENSTORED_PATH");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool here;

	if (fd < 0)
		return false;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path ? path : STORE);
	here = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return here;
}

/*
 * libxenstore goes on to the kernel's device, by which the store is reached if it is in
 * another domain; where it is nowhere a read from that would last for ever.
 */
static void open_store(struct xen_host *host)
{
	if (host->libraries.xs_open && (is_store_here() || is_store_elsewhere(host)))
		host->store = host->libraries.xs_open(0);
}

int xen_host_open(struct xen_host *host)
{
	int ret;

	memset(host, 0, sizeof(*host));
	ret = xen_load(&host->libraries);
	if (ret < 0)
		return ret;
	host->xc = host->libraries.xc_interface_open(&xen_silence, &xen_silence, 0);
	if (!host->xc) {
		ret = errno == EACCES || errno == EPERM ?
		      scry_fail(SCRY_E_PERM, "only root may control Xen: run it as root") :
		      scry_fail(SCRY_E_IO, "cannot open Xen's control interface: %s", strerror(errno));
		xen_unload(&host->libraries);
		return ret;
	}
	open_store(host);
	return 0;
}

void xen_host_close(struct xen_host *host)
{
	if (host->store)
		host->libraries.xs_close(host->store);
	if (host->xc)
		host->libraries.xc_interface_close(host->xc);
	xen_unload(&host->libraries);
	host->xc = NULL;
	host->store = NULL;
}

int xen_domain_next(struct xen_host *host, uint32_t first, struct xen_domain *domain)
{
	union {
		xc_domaininfo_t head;
		char room[INFO_SIZE];
	} info;
	int n = host->libraries.xc_domain_getinfolist(host->xc, first, 1, &info.head);

	if (n < 0)
		return errno == EACCES ?
		       scry_fail(SCRY_E_VERSION, "libxenctrl does not speak this Xen's control "
				 "interface: they are not of the same release") :
		       scry_fail(SCRY_E_IO, "cannot ask Xen for its domains: %s", strerror(errno));
	if (n == 0)
		return 0;
	*domain = (struct xen_domain){ .id = info.head.domain, .flags = info.head.flags,
				       .pages = info.head.tot_pages,
				       .vcpus = info.head.max_vcpu_id + 1 };
	return 1;
}

char *xen_domain_name_whole(struct xen_host *host, uint32_t id)
{
	char path[64], *text = NULL;

	snprintf(path, sizeof(path), "/local/domain/%u/name", id);
	if (host->store)
		text = host->libraries.xs_read(host->store, XBT_NULL, path, NULL);
	if (text && *text)
		return text;
	free(text);
	return asprintf(&text, "domain %u", id) < 0 ? NULL : text;
}

void xen_domain_name(struct xen_host *host, uint32_t id, char *name, size_t size)
{
	char *text = xen_domain_name_whole(host, id);

	snprintf(name, size, "%s", text ? text : "");
	free(text);
	/* The name comes from a file that others may write, and goes to terminals. */
	for (size_t left = strlen(name), n; left; left -= n, name += n) {
		n = scry_text_character((const unsigned char *)name, left);
		if (!n) {
			*name = '?';
			n = 1;
		}
	}
}

/* Is the address a domain's number? */
static bool is_number(const char *address, uint32_t *id)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*address))
		return false;
	value = strtoul(address, &end, 10);
	*id = (uint32_t)value;
	return !*end && value < DOMID_FIRST_RESERVED;
}

static int find_by_name(struct xen_host *host, const char *name, struct xen_domain *domain)
{
	int ret;

	for (uint32_t id = 0; (ret = xen_domain_next(host, id, domain)) > 0; id = domain->id + 1) {
		char *found = xen_domain_name_whole(host, domain->id);
		bool same = found && !strcmp(found, name);

		free(found);
		if (same)
			return 0;
	}
	if (ret < 0)
		return ret;
	return scry_fail(SCRY_E_NOTFOUND, "no Xen domain is called '%s'%s: see scry list", name,
			 host->store ? "" : !host->libraries.xs_open ?
			 " (libxenstore, which tells the names, is not installed)" :
			 " (xenstored, which knows the names, does not run)");
}

int xen_domain_find(struct xen_host *host, const char *address, struct xen_domain *domain)
{
	uint32_t id;
	int ret;

	if (!is_number(address, &id))
		return find_by_name(host, address, domain);
	ret = xen_domain_next(host, id, domain);
	if (ret < 0)
		return ret;
	if (!ret || domain->id != id)
		return scry_fail(SCRY_E_NOTFOUND, "there is no Xen domain %u: see scry list", id);
	return 0;
}

void xen_host_version(struct xen_host *host, char *text, size_t size)
{
	int version = host->libraries.xc_version(host->xc, XENVER_version, NULL);
	xen_extraversion_t extra = "";

	host->libraries.xc_version(host->xc, XENVER_extraversion, extra);
	extra[sizeof(extra) - 1] = '\0';
	snprintf(text, size, "Xen %d.%d%s", version >> 16, version & 0xffff, extra);
}
