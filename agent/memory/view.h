/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_VIEW_H
#define AGENT_VIEW_H

#include <scry/view.h>
#include <stdbool.h>
#include <stddef.h>

struct scry_agent_view;
struct vcpu;

/* Is there such a view? */
bool view_exists(unsigned view);

/* Does any trap or remap anything, or has it? */
bool view_any(void);

/* No more than that: it is in this view. */
void view_point(struct vcpu *vcpu, unsigned view);

/* In the vCPU's own thread, outside translated code or about to leave it. */
void view_enter(struct vcpu *vcpu, unsigned view);

/*
 * In the vCPU's own thread: what it finds at a linear address, its view's tables aside.
 * False: not all of it is mapped.
 */
bool view_read(const struct vcpu *vcpu, uint64_t gva, void *data, uint64_t len);

/*
 * Service thread: carry these out, whose numbers are within their ranges, one after
 * the other.  0, a new view's number, or SCRY_E_... with *text a sentence.
 */
int view_change(const struct scry_agent_view *requests, unsigned count, const char **text);

/* A client's struct scry_agent_view; 0, or -1 if it is malformed. */
int view_request(int fd, const void *message, size_t len);

/* The client is gone: view 0 alone, and nothing in it. */
void view_reset(void);

#endif
