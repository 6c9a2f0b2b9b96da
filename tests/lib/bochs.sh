# SPDX-License-Identifier: LGPL-2.1-or-later
# Machines in Bochs 3.0, which emulates Intel's VMX.  Sourced by ../xen/machines.sh and
# ../kvm/lab.sh, with the cache's folders in xen (whose GRUB and xorriso are used) and bochs.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set there

# bochs_medium DIR MODULE...: DIR/iso.img has the files of DIR/iso; GRUB, with these modules of
# its own, does what DIR/grub.cfg says.
bochs_medium() {
	local dir=$1 root=$1/iso lib=$xen/usr/lib/x86_64-linux-gnu
	shift
	mkdir -p "$root/boot/grub"
	LD_LIBRARY_PATH=$xen/lib/x86_64-linux-gnu:$lib "$xen/usr/bin/grub-mkimage" \
		-d "$xen/usr/lib/grub/i386-pc" -O i386-pc-eltorito -p /boot/grub -c "$dir/grub.cfg" \
		-o "$root/boot/grub/core" biosdisk iso9660 "$@" &&
		LD_LIBRARY_PATH=$lib "$xen/usr/bin/xorriso" -as mkisofs -quiet -o "$dir/iso.img" \
			-b boot/grub/core -no-emul-boot -boot-load-size 4 -boot-info-table "$root"
}

# bochs_boot DIR MIB COMMAND...: a machine with DIR/iso.img in place of this shell, started by
# the command, if any; what it says goes to DIR/console.  It does not end when its power is cut.
# Debian builds its debugger in, which waits for a word to begin.
bochs_boot() {
	local dir=$1 mib=$2 usr=$bochs/usr
	shift 2
	cat >"$dir/bochsrc" <<-EOT
	config_interface: textconfig
	display_library: rfb, options="timeout=0"
	megs: $mib
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
