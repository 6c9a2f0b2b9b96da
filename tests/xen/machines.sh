# SPDX-License-Identifier: LGPL-2.1-or-later
# The emulators that Xen runs in.  Sourced by lab.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set there

# shellcheck source=../lib/bochs.sh
. "$here/../lib/bochs.sh"

# TCG's XRSTOR does not look at CR0.TS, by which Xen would hear that it must save the state.
# Without a limit a vCPU runs for a millisecond before dom0 is told of its event.
xen_args="console=com1 com1=115200,8n1 loglvl=info guest_loglvl=warning bootscrub=0"
xen_args+=" watchdog=0 dom0_mem=384M,max:384M altp2m=1 spec-ctrl=no,eager-fpu sched_ratelimit_us=0 ${SCRY_LAB_XEN-}"
dom0_args="console=hvc0 quiet loglevel=4 panic=-1 mitigations=off tsc=reliable apparmor=0 rodata=off"

# A PV dom0 dies with SMAP; the others do not work, or slow Xen down.
qemu_cpu="EPYC,-smap,-monitor,-rdtscp,-rdseed,-3dnowprefetch,-nrip-save,-avx,-avx2,-fma,-f16c"
qemu_cpu+=",-sha-ni,-misalignsse,-osvw,-topoext,-fxsr-opt,-xsavec,-xsaves"

# Time goes by instructions, in both: on a busy host nothing is late, only slow.
# Start them on the files of a folder, by the command that follows; what Xen and dom0
# say goes to the folder's file console.
start_qemu() {
	local dir=$1
	shift
	exec "$@" qemu-system-x86_64 -accel tcg -icount shift=3,sleep=off -machine q35 -smp 1 -m "${SCRY_LAB_MIB:-768}" \
		-display none -no-reboot -nodefaults -serial "file:$dir/console" -cpu "$qemu_cpu" \
		-kernel "$ready/xen" -append "$xen_args cpuidle=0" \
		-initrd "$ready/vmlinux $dom0_args,$dir/initramfs"
}

start_bochs() {
	local dir=$1 root=$1/iso
	shift
	mkdir -p "$root/boot"
	ln "$ready/xen" "$ready/vmlinux" "$root/boot/" 2>/dev/null ||
		cp "$ready/xen" "$ready/vmlinux" "$root/boot/"
	mv "$dir/initramfs" "$root/boot/"
	# The first word behind a file is not looked at.
	cat >"$dir/grub.cfg" <<-EOT
	multiboot (cd)/boot/xen xen $xen_args noreboot=1 apicv=0 ept=exec-sp
	module (cd)/boot/vmlinux vmlinux $dom0_args
	module (cd)/boot/initramfs
	boot
	EOT
	bochs_medium "$dir" multiboot && bochs_boot "$dir" "${SCRY_LAB_MIB:-768}" "$@"
}
