/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_VIEW_H
#define SCRY_VIEW_H

#include <stdint.h>

#include <scry/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A view is one mapping of guest-physical memory, as the processor sees it:
 * which accesses to each guest frame are trapped, and which memory stands in
 * its place (Intel SDM volume 3, 29.3: EPT; several of them are Xen's altp2m).
 * Each vCPU is in one view at a time.  View 0 is the one that all begin in, those
 * that start later, too; it can be changed like any other, but not destroyed.
 *
 * A trapped access is a SCRY_EVENT_MEMORY if a subscription wants it, and takes
 * place as if it were not trapped otherwise.  Where a read is trapped, the reads
 * of the page walker are, too.
 *
 * Devices (DMA), and scry's own reads and writes, know no views.  All views of a
 * handle, their traps and remaps end with it, and the guest goes on in what it
 * was before.  Calls may be made from any thread, while vCPUs run or wait in
 * events; each takes effect on all vCPUs before it returns.
 */

/* Views at a time, view 0 among them. */
#define SCRY_VIEWS 64

/*
 * Make a view like the view `like` (0: the default) is now.  Returns its number,
 * 1 to SCRY_VIEWS - 1; SCRY_E_NOMEM when there are too many.
 */
int scry_view_create(struct scry_vm *vm, unsigned like);

/* Its vCPUs go to view 0.  SCRY_E_NOTFOUND if there is none; SCRY_E_INVAL for view 0. */
int scry_view_destroy(struct scry_vm *vm, unsigned view);

/*
 * In this view trap these accesses (SCRY_READ, SCRY_WRITE, SCRY_EXEC; 0 = none)
 * to the `count` frames from gfn on, and no others to them.  Frames need not
 * have memory; what is accessed where a device is (MMIO) is told of with
 * SCRY_CAP_EVENT_MMIO.  It costs as much for all frames as for one.  SCRY_E_INVAL beyond
 * the highest frame, 2^40 - 1.  (The driver kvmi traps frames that have memory, and
 * takes a message for 511 of them.)  For view 0 SCRY_CAP_EVENT_MEMORY suffices.
 */
int scry_view_protect(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t count,
		      uint32_t access);

/*
 * In this view have the frame `target`, which must be RAM, stand in the place of
 * gfn: reads, writes and fetches of gfn go there.  What is trapped stays with
 * gfn.  target = gfn undoes it.
 */
int scry_view_remap(struct scry_vm *vm, unsigned view, uint64_t gfn, uint64_t target);

/* Frames of its own that a handle can have. */
#define SCRY_FRAMES 1024

/*
 * A frame of the handle's own, zeroed: memory that the guest does not have, beyond
 * any address that its processor can form, so that it sees it only where a view
 * has it stand in another's place (`target` above).  Read and written at gfn << 12
 * like the guest's; no part of its memory map.  It ends with the handle, or by
 * scry_frame_destroy(), before which no view is to show it any more.
 * SCRY_E_NOMEM when there are too many; SCRY_E_NOTFOUND if it is not the handle's.
 */
int scry_frame_create(struct scry_vm *vm, uint64_t *gfn);
int scry_frame_destroy(struct scry_vm *vm, uint64_t gfn);

/* Put a vCPU into a view.  In an event's reply: see struct scry_reply. */
int scry_view_switch(struct scry_vm *vm, unsigned vcpu, unsigned view);

#ifdef __cplusplus
}
#endif
#endif
