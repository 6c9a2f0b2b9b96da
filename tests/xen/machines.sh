# SPDX-License-Identifier: LGPL-2.1-or-later
# The emulators that Xen runs in.  Sourced by lab.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set there

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

# A boot medium: GRUB, and what it loads.
make_iso() {
	local dir=$1 root=$1/iso lib=$xen/usr/lib/x86_64-linux-gnu
	mkdir -p "$root/boot/grub"
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
	LD_LIBRARY_PATH=$xen/lib/x86_64-linux-gnu:$lib "$xen/usr/bin/grub-mkimage" \
		-d "$xen/usr/lib/grub/i386-pc" -O i386-pc-eltorito -p /boot/grub -c "$dir/grub.cfg" \
		-o "$root/boot/grub/core" biosdisk iso9660 multiboot &&
		LD_LIBRARY_PATH=$lib "$xen/usr/bin/xorriso" -as mkisofs -quiet -o "$dir/iso.img" \
			-b boot/grub/core -no-emul-boot -boot-load-size 4 -boot-info-table "$root"
}

# Debian builds its debugger in, which waits for a word to begin.
start_bochs() {
	local dir=$1 usr=$bochs/usr
	shift
	make_iso "$dir" || return
	cat >"$dir/bochsrc" <<-EOT
	config_interface: textconfig
	display_library: rfb, options="timeout=0"
	megs: ${SCRY_LAB_MIB:-768}
	cpu: model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0
	romimage: file=$usr/share/bochs/BIOS-bochs-latest
	vgaromimage: file=$usr/share/bochs/VGABIOS-lgpl-latest
	pci: enabled=1, chipset=i440fx
	vga: extension=vbe, update_freq=1
	ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
	ata1: enabled=0
	ata0-master: type=cdrom, path=$dir/iso.img, status=inserted
	boot: cdrom
	clock: sync=none
	com1: enabled=1, mode=file, dev=$dir/console
	log: $dir/bochs.log
	panic: action=report
	error: action=report
	info: action=report
	debug: action=ignore
	speaker: enabled=0
	EOT
	echo c >"$dir/rc"
	export LTDL_LIBRARY_PATH=$usr/lib/x86_64-linux-gnu/bochs/plugins BXSHARE=$usr/share/bochs
	exec "$@" "$usr/lib64/ld-linux-x86-64.so.2" --library-path "$usr/lib/x86_64-linux-gnu" \
		"$usr/bin/bochs-bin" -q -f "$dir/bochsrc" -rc "$dir/rc"
}
