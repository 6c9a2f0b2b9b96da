/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_LINUX_LAYOUT_H
#define SCRY_LINUX_LAYOUT_H

#include <stdint.h>

struct scry_linux;

/*
 * Members of the kernel's structures that are read: X(NAME, "struct", "path").  Not
 * every kernel has all of them.
 */
#define OS_MEMBERS(X) \
	X(TASK_TASKS, "task_struct", "tasks") \
	X(TASK_PID, "task_struct", "pid") \
	X(TASK_TGID, "task_struct", "tgid") \
	X(TASK_COMM, "task_struct", "comm") \
	X(TASK_STATE, "task_struct", "__state") \
	X(TASK_EXIT_STATE, "task_struct", "exit_state") \
	X(TASK_FLAGS, "task_struct", "flags") \
	X(TASK_MM, "task_struct", "mm") \
	X(TASK_PARENT, "task_struct", "real_parent") \
	X(TASK_CRED, "task_struct", "cred") \
	X(TASK_START, "task_struct", "start_boottime") \
	X(TASK_SIGNAL, "task_struct", "signal") \
	X(TASK_THREAD_NODE, "task_struct", "thread_node") \
	X(TASK_FILES, "task_struct", "files") \
	X(SIGNAL_THREADS, "signal_struct", "thread_head") \
	X(SIGNAL_COUNT, "signal_struct", "nr_threads") \
	X(CRED_UID, "cred", "uid") \
	X(CRED_GID, "cred", "gid") \
	X(MM_TREE, "mm_struct", "mm_mt") \
	X(MM_PGD, "mm_struct", "pgd") \
	X(MM_TOTAL, "mm_struct", "total_vm") \
	X(MM_RSS, "mm_struct", "rss_stat") \
	X(MM_EXE, "mm_struct", "exe_file") \
	X(MM_ARG_START, "mm_struct", "arg_start") \
	X(MM_ARG_END, "mm_struct", "arg_end") \
	X(MM_ENV_START, "mm_struct", "env_start") \
	X(MM_ENV_END, "mm_struct", "env_end") \
	X(MM_START_BRK, "mm_struct", "start_brk") \
	X(MM_BRK, "mm_struct", "brk") \
	X(MM_START_STACK, "mm_struct", "start_stack") \
	X(COUNTER_COUNT, "percpu_counter", "count") \
	X(COUNTER_PARTS, "percpu_counter", "counters") \
	X(TREE_ROOT, "maple_tree", "ma_root") \
	X(RANGE_PIVOT, "maple_range_64", "pivot") \
	X(RANGE_SLOT, "maple_range_64", "slot") \
	X(ARANGE_PIVOT, "maple_arange_64", "pivot") \
	X(ARANGE_SLOT, "maple_arange_64", "slot") \
	X(VMA_START, "vm_area_struct", "vm_start") \
	X(VMA_END, "vm_area_struct", "vm_end") \
	X(VMA_FLAGS, "vm_area_struct", "vm_flags") \
	X(VMA_PGOFF, "vm_area_struct", "vm_pgoff") \
	X(VMA_FILE, "vm_area_struct", "vm_file") \
	X(VMA_OPS, "vm_area_struct", "vm_ops") \
	X(VMA_PRIVATE, "vm_area_struct", "vm_private_data") \
	X(FILES_FDT, "files_struct", "fdt") \
	X(FDT_MAX, "fdtable", "max_fds") \
	X(FDT_FD, "fdtable", "fd") \
	X(FILE_DENTRY, "file", "f_path.dentry") \
	X(FILE_MNT, "file", "f_path.mnt") \
	X(FILE_INODE, "file", "f_inode") \
	X(FILE_FLAGS, "file", "f_flags") \
	X(FILE_POS, "file", "f_pos") \
	X(FILE_PRIVATE, "file", "private_data") \
	X(INODE_NUMBER, "inode", "i_ino") \
	X(INODE_MODE, "inode", "i_mode") \
	X(INODE_SB, "inode", "i_sb") \
	X(SB_DEV, "super_block", "s_dev") \
	X(SB_TYPE, "super_block", "s_type") \
	X(FSTYPE_NAME, "file_system_type", "name") \
	X(DENTRY_PARENT, "dentry", "d_parent") \
	X(DENTRY_NAME, "dentry", "d_name.name") \
	X(DENTRY_LEN, "dentry", "d_name.len") \
	X(DENTRY_HASH, "dentry", "d_hash.pprev") \
	X(DENTRY_OPS, "dentry", "d_op") \
	X(DENTRY_OPS_DNAME, "dentry_operations", "d_dname") \
	X(MOUNT_MNT, "mount", "mnt") \
	X(MOUNT_PARENT, "mount", "mnt_parent") \
	X(MOUNT_POINT, "mount", "mnt_mountpoint") \
	X(MOUNT_ROOT, "mount", "mnt.mnt_root") \
	X(SOCKET_TYPE, "socket", "type") \
	X(SOCKET_SK, "socket", "sk") \
	X(SOCK_FAMILY, "sock", "__sk_common.skc_family") \
	X(SOCK_STATE, "sock", "__sk_common.skc_state") \
	X(SOCK_DPORT, "sock", "__sk_common.skc_dport") \
	X(SOCK_NUM, "sock", "__sk_common.skc_num") \
	X(SOCK_DADDR, "sock", "__sk_common.skc_daddr") \
	X(SOCK_RCV_SADDR, "sock", "__sk_common.skc_rcv_saddr") \
	X(SOCK_V6_DADDR, "sock", "__sk_common.skc_v6_daddr") \
	X(SOCK_V6_RCV_SADDR, "sock", "__sk_common.skc_v6_rcv_saddr") \
	X(SOCK_PROTOCOL, "sock", "sk_protocol") \
	X(UNIX_ADDR, "unix_sock", "addr") \
	X(UNIX_ADDR_LEN, "unix_address", "len") \
	X(UNIX_ADDR_NAME, "unix_address", "name") \
	X(MODULE_LIST, "module", "list") \
	X(MODULE_NAME, "module", "name") \
	X(MODULE_STATE, "module", "state") \
	X(MODULE_REFCNT, "module", "refcnt") \
	X(MODULE_MEM, "module", "mem") \
	X(MODULE_MEM_BASE, "module_memory", "base") \
	X(MODULE_MEM_SIZE, "module_memory", "size") \
	X(MODULE_CORE_BASE, "module", "core_layout.base") \
	X(MODULE_CORE_SIZE, "module", "core_layout.size") \
	X(MODULE_INIT_SIZE, "module", "init_layout.size") \
	X(MODULE_KALLSYMS, "module", "kallsyms") \
	X(MODSYMS_SYMTAB, "mod_kallsyms", "symtab") \
	X(MODSYMS_COUNT, "mod_kallsyms", "num_symtab") \
	X(MODSYMS_STRTAB, "mod_kallsyms", "strtab") \
	X(MODSYMS_TYPETAB, "mod_kallsyms", "typetab") \
	X(PRB_DESC_RING, "printk_ringbuffer", "desc_ring") \
	X(PRB_TEXT_RING, "printk_ringbuffer", "text_data_ring") \
	X(RING_COUNT_BITS, "prb_desc_ring", "count_bits") \
	X(RING_DESCS, "prb_desc_ring", "descs") \
	X(RING_INFOS, "prb_desc_ring", "infos") \
	X(RING_HEAD, "prb_desc_ring", "head_id") \
	X(RING_TAIL, "prb_desc_ring", "tail_id") \
	X(DESC, "prb_desc", "state_var") \
	X(DESC_BEGIN, "prb_desc", "text_blk_lpos.begin") \
	X(DESC_NEXT, "prb_desc", "text_blk_lpos.next") \
	X(INFO_SEQ, "printk_info", "seq") \
	X(INFO_TIME, "printk_info", "ts_nsec") \
	X(INFO_LEN, "printk_info", "text_len") \
	X(INFO_FACILITY, "printk_info", "facility") \
	X(INFO_LEVEL, "printk_info", "level") \
	X(DATA_SIZE_BITS, "prb_data_ring", "size_bits") \
	X(DATA_DATA, "prb_data_ring", "data") \
	X(PCPU_HOT_TASK, "pcpu_hot", "current_task")

enum os_member_id {
#define OS_MEMBER_ENUM(NAME, type, path) OS_##NAME,
	OS_MEMBERS(OS_MEMBER_ENUM)
#undef OS_MEMBER_ENUM
	OS_MEMBER_COUNT
};

/* Where it lies. */
struct os_member {
	uint32_t offset, size;		/* size: of an array the whole; 0 of one without bounds */
	uint8_t bit_offset, bits;	/* of a bit-field */
	uint32_t type_size;		/* of the structure that it is a member of */
	uint32_t type;			/* BTF's number of its type; 0 = this kernel has no such member */
};

/* Read the BTF of os's kernel, and find all of these in it. */
int os_layout_read(struct scry_linux *os);

#endif
