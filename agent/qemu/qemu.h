/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_QEMU_H
#define AGENT_QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the agent uses of QEMU: functions and variables, all found by name at
 * run time, so that one agent serves several versions and needs no headers.
 */
struct qemu_cpu;		/* CPUState, which an X86CPU begins with */
struct qemu_env;		/* CPUX86State */
struct qemu_address_space;
struct qemu_flatview;
struct qemu_region;		/* MemoryRegion */
struct qemu_block;		/* RAMBlock */
struct qemu_accel;
struct qemu_tb;			/* a block being translated */
struct qemu_insn;
struct vmstate;

typedef unsigned __int128 qemu_int128;
typedef void (*qemu_cpu_work)(struct qemu_cpu *cpu, uint64_t data);
typedef bool (*qemu_range_fn)(qemu_int128 start, qemu_int128 len, struct qemu_region *region,
			      uint64_t offset, void *opaque);

/* MemoryListener: its first two fields are these in every version; the rest is left zero. */
struct qemu_listener {
	void (*begin)(struct qemu_listener *listener);
	void (*commit)(struct qemu_listener *listener);
	uint64_t rest[126];
};

struct qemu_version {
	const int64_t *triple;
	const char *package;
};

#define QEMU_FUNCTIONS(X) \
	X(struct qemu_cpu *, qemu_get_cpu, (int index)) \
	X(void, async_run_on_cpu, (struct qemu_cpu *, qemu_cpu_work, uint64_t)) \
	X(void, async_safe_run_on_cpu, (struct qemu_cpu *, qemu_cpu_work, uint64_t)) \
	X(void, qemu_wait_io_event_common, (struct qemu_cpu *)) \
	X(void, cpu_exec_start, (struct qemu_cpu *)) \
	X(void, cpu_exec_end, (struct qemu_cpu *)) \
	X(void, start_exclusive, (void)) \
	X(void, end_exclusive, (void)) \
	X(void, cpu_exit, (struct qemu_cpu *)) \
	X(bool, cpu_restore_state, (struct qemu_cpu *, uintptr_t host_pc, bool will_exit)) \
	X(void, cpu_single_step, (struct qemu_cpu *, int how)) \
	X(void, cpu_exec_step_atomic, (struct qemu_cpu *)) \
	X(void, breakpoint_handler, (struct qemu_cpu *)) \
	X(void, cpu_loop_exit_noexc, (struct qemu_cpu *)) \
	X(void, raise_exception_err_ra, (struct qemu_env *, int, int error, uintptr_t host_pc)) \
	X(void, do_interrupt_all, (struct qemu_cpu *, int vector, int is_int, int error, \
				   uint64_t next_eip, int is_hw)) \
	X(bool, x86_cpu_exec_interrupt, (struct qemu_cpu *, int request)) \
	X(void, cpu_interrupt, (struct qemu_cpu *, int request)) \
	X(bool, x86_cpu_tlb_fill, (struct qemu_cpu *, uint64_t gva, int size, int type, int mmu, \
				   bool probe, uintptr_t host_pc)) \
	X(void, tlb_set_page_with_attrs, (struct qemu_cpu *, uint64_t gva, uint64_t gpa, \
					  uint64_t attrs, int prot, int mmu, uint64_t size)) \
	X(void, raise_exception_ra, (struct qemu_env *, int, uintptr_t host_pc)) \
	X(int, cpu_memory_rw_debug, (struct qemu_cpu *, uint64_t gva, void *, uint64_t, bool)) \
	X(uint64_t, x86_cpu_get_phys_page_attrs_debug, (struct qemu_cpu *, uint64_t gva, \
							uint64_t *attributes)) \
	X(void, tb_flush, (struct qemu_cpu *)) \
	X(void, tlb_flush, (struct qemu_cpu *)) \
	X(bool, bql_locked, (void)) \
	X(void, bql_lock_impl, (const char *file, int line)) \
	X(void, bql_unlock, (void)) \
	X(void, rcu_register_thread, (void)) \
	X(void, rcu_unregister_thread, (void)) \
	X(struct qemu_flatview *, address_space_get_flatview, (struct qemu_address_space *)) \
	X(void, flatview_unref, (struct qemu_flatview *)) \
	X(void, flatview_for_each_range, (struct qemu_flatview *, qemu_range_fn, void *)) \
	X(uint32_t, address_space_rw, (struct qemu_address_space *, uint64_t gpa, \
				       uint64_t attrs, void *, uint64_t len, bool write)) \
	X(void *, address_space_map, (struct qemu_address_space *, uint64_t gpa, uint64_t *len, \
				      bool write, uint64_t attrs)) \
	X(void, address_space_unmap, (struct qemu_address_space *, void *, uint64_t len, \
				      bool write, uint64_t used)) \
	X(bool, cpu_physical_memory_is_io, (uint64_t gpa)) \
	X(uint64_t, memory_region_get_ram_addr, (struct qemu_region *)) \
	X(void *, memory_region_get_ram_ptr, (struct qemu_region *)) \
	X(int, memory_region_get_fd, (struct qemu_region *)) \
	X(struct qemu_block *, qemu_ram_block_from_host, (void *, bool round, uint64_t *offset)) \
	X(void *, qemu_ram_get_host_addr, (struct qemu_block *)) \
	X(uint64_t, qemu_ram_get_used_length, (struct qemu_block *)) \
	X(size_t, qemu_ram_pagesize, (struct qemu_block *)) \
	X(void *, memory_region_owner, (const struct qemu_region *)) \
	X(void *, object_dynamic_cast, (void *, const char *type)) \
	X(bool, memory_region_is_ram_device, (struct qemu_region *)) \
	X(void, memory_region_init_ram_ptr, (struct qemu_region *, void *owner, const char *name, \
					     uint64_t size, void *)) \
	X(struct qemu_region *, get_system_memory, (void)) \
	X(void, memory_region_add_subregion, (struct qemu_region *, uint64_t at, \
					      struct qemu_region *)) \
	X(void, memory_region_del_subregion, (struct qemu_region *, struct qemu_region *)) \
	X(void, memory_listener_register, (struct qemu_listener *, struct qemu_address_space *)) \
	X(void, memory_listener_unregister, (struct qemu_listener *)) \
	X(void, memory_region_set_log, (struct qemu_region *, bool log, unsigned client)) \
	X(bool, runstate_is_running, (void)) \
	X(bool, runstate_check, (int state)) \
	X(bool, migration_in_incoming_postcopy, (void)) \
	X(bool, migration_in_bg_snapshot, (void)) \
	X(void, qemu_system_reset_request, (int cause)) \
	X(void, qemu_system_shutdown_request, (int cause)) \
	X(void, cpu_disable_ticks, (void)) \
	X(void, cpu_enable_ticks, (void)) \
	X(const char *, qemu_get_vm_name, (void)) \
	X(struct qemu_version *, qmp_query_version, (void *error)) \
	X(void, qapi_free_VersionInfo, (struct qemu_version *)) \
	X(void, cpu_x86_cpuid, (struct qemu_env *, uint32_t leaf, uint32_t subleaf, uint32_t *, \
				uint32_t *, uint32_t *, uint32_t *)) \
	X(void, cpu_x86_update_cr0, (struct qemu_env *, uint32_t)) \
	X(void, cpu_x86_update_cr3, (struct qemu_env *, uint64_t)) \
	X(void, cpu_x86_update_cr4, (struct qemu_env *, uint32_t)) \
	X(void, x86_update_hflags, (struct qemu_env *)) \
	X(void, cpu_sync_bndcs_hflags, (struct qemu_env *)) \
	X(void, cpu_sync_avx_hflag, (struct qemu_env *)) \
	X(void, x86_cpu_xsave_all_areas, (struct qemu_cpu *, void *, uint32_t)) \
	X(void, x86_cpu_xrstor_all_areas, (struct qemu_cpu *, const void *, uint32_t)) \
	X(void, update_fp_status, (struct qemu_env *)) \
	X(void, update_mxcsr_status, (struct qemu_env *)) \
	X(void, qemu_plugin_register_vcpu_init_cb, \
	  (uint64_t id, void (*cb)(uint64_t id, unsigned vcpu))) \
	X(void, qemu_plugin_register_vcpu_tb_trans_cb, \
	  (uint64_t id, void (*)(uint64_t id, struct qemu_tb *))) \
	X(void, qemu_plugin_register_vcpu_insn_exec_cb, \
	  (struct qemu_insn *, void (*)(unsigned vcpu, void *), int flags, void *)) \
	X(void, qemu_plugin_register_vcpu_tb_exec_cb, \
	  (struct qemu_tb *, void (*)(unsigned vcpu, void *), int flags, void *)) \
	X(void, qemu_plugin_register_flush_cb, (uint64_t id, void (*)(uint64_t id))) \
	X(void, qemu_plugin_register_atexit_cb, (uint64_t id, void (*)(uint64_t, void *), void *)) \
	X(size_t, qemu_plugin_tb_n_insns, (const struct qemu_tb *)) \
	X(struct qemu_insn *, qemu_plugin_tb_get_insn, (const struct qemu_tb *, size_t)) \
	X(uint64_t, qemu_plugin_insn_vaddr, (const struct qemu_insn *)) \
	X(size_t, qemu_plugin_insn_size, (const struct qemu_insn *)) \
	X(const void *, qemu_plugin_insn_data, (const struct qemu_insn *, void *, size_t))

/* Functions that translated code calls. */
#define QEMU_HELPERS(X) \
	X(uint64_t, read_eflags, (struct qemu_env *)) \
	X(void, write_eflags, (struct qemu_env *, uint64_t value, uint32_t mask)) \
	X(uint64_t, read_crN, (struct qemu_env *, int cr)) \
	X(void, write_crN, (struct qemu_env *, int cr, uint64_t value)) \
	X(void, set_dr, (struct qemu_env *, int dr, uint64_t value)) \
	X(void, rdmsr, (struct qemu_env *)) \
	X(void, wrmsr, (struct qemu_env *)) \
	X(void, single_step, (struct qemu_env *))

#define QEMU_VARIABLES(X) \
	X(struct qemu_address_space, address_space_memory) \
	X(const struct vmstate, vmstate_x86_cpu) \
	X(const struct vmstate, vmstate_cpu_common) \
	X(const bool, mttcg_enabled) \
	X(const bool, tcg_allowed) \
	X(const int, use_icount) \
	X(const int, replay_mode)

extern struct qemu {
#define QEMU_FUNCTION(type, name, arguments) type (*name) arguments;
	QEMU_FUNCTIONS(QEMU_FUNCTION)
	struct {
		QEMU_HELPERS(QEMU_FUNCTION)
	} helper;
#undef QEMU_FUNCTION
#define QEMU_VARIABLE(type, name) type *name;
	QEMU_VARIABLES(QEMU_VARIABLE)
#undef QEMU_VARIABLE
	int plugin_version;	/* of the plugin interface that was asked for */
} qemu;

/* Find all of the above.  0, or refuse() that names what is missing. */
int qemu_init(void);

/* The first len bytes of an instruction that is being translated. */
void qemu_insn_bytes(const struct qemu_insn *insn, void *bytes, size_t len);

#define bql_lock() qemu.bql_lock_impl(__FILE__, __LINE__)

#endif
