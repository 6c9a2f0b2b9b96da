/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVMI_VIEW_H
#define AGENT_KVMI_VIEW_H

#include "state.h"

/* The service, when a tool has come: make the views that a kernel of v7 has. */
void kvmi_view_init(void);

/* May vCPUs be in others than 0?  Not where all of them would have to be in one. */
bool kvmi_view_can_enter(void);

/* The service: SET_PAGE_ACCESS.  0, or an error negated. */
int kvmi_view_access(const struct kvmi_request *request);

/* In the vCPU's thread: SET_EPT_VIEW and CHANGE_GFN.  0, or an error negated. */
int kvmi_view_enter(struct kvmi_state *state, unsigned view);
int kvmi_view_change_gfn(struct kvmi_state *state, const struct kvmi_v7_change_gfn *change);

#endif
