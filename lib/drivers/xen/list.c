/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <unistd.h>

#include "claim.h"
#include "xen.h"

static int list_one(struct xen_host *host, const struct xen_domain *domain,
		    const char *hypervisor, scry_list_fn fn, void *opaque)
{
	struct scry_vm_entry entry = { .hypervisor = hypervisor, .vcpus = domain->vcpus,
				       .ram_bytes = domain->pages * XEN_PAGE_SIZE,
				       .client_pid = xen_claim_owner(domain->id) };
	char name[256], uri[32];

	xen_domain_name(host, domain->id, name, sizeof(name));
	snprintf(uri, sizeof(uri), "xen:%u", domain->id);
	entry.name = name;
	entry.uri = uri;
	return fn(&entry, opaque);
}

/* Not those that are still empty, or have more vCPUs than we know. */
static bool can_be_opened(const struct xen_domain *domain)
{
	return domain->flags & XEN_DOMINF_hvm_guest && !(domain->flags & XEN_DOMINF_dying) &&
	       domain->pages && domain->vcpus && domain->vcpus <= SCRY_MAX_VCPUS;
}

/* Domains that can be looked into: not dom0, and not those without hardware's help. */
int xen_list(scry_list_fn fn, void *opaque)
{
	struct xen_domain domain;
	struct xen_host host;
	char hypervisor[96];
	int ret = 0, more = 1;

	/* Who may not call Xen has none. */
	if (!xen_is_here() || geteuid())
		return 0;
	ret = xen_host_open(&host);
	if (ret < 0)
		return ret;
	xen_host_version(&host, hypervisor, sizeof(hypervisor));
	for (uint32_t id = 1; !ret && more > 0; id = domain.id + 1) {
		more = xen_domain_next(&host, id, &domain);
		if (more > 0 && can_be_opened(&domain))
			ret = list_one(&host, &domain, hypervisor, fn, opaque);
	}
	xen_host_close(&host);
	return more < 0 ? more : ret;
}
