# SPDX-License-Identifier: LGPL-2.1-or-later
# A machine (L1) with the real, stock KVM of Debian's kernel, on any host: QEMU's
# TCG emulates AMD's SVM with nested paging, so that kvm-amd loads in it; or
# Bochs emulates Intel's VMX, for kvm-intel.
# Sourced by run and scripts/bench, after ../lib/guest.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by guest.sh

lab=$(dirname "${BASH_SOURCE[0]}")
# What is special about the machine in QEMU.
: "${lab_machine=-smp 2}"
# More of its accelerator's options.
: "${lab_accel=}"
# The folder with L1's kernel and modules: Debian's 6.1, unless set.
: "${lab_linux=$(dirname "$(dirname "$kernel")")}"

# Copy programs ($2...) and the libraries that they name into tree $1.
lab_programs() {
	local tree=$1 file
	shift
	for file in "$@"; do
		cp -L "$file" "$tree/usr/bin/"
		ldd "$file" 2>/dev/null | grep -o '/[^ ]*'
	done | grep -v "^$SCRY_BUILD" | sort -u | xargs cp -Lu --parents -t "$tree"
}

# lab_make INITRAMFS [PROGRAM...]: everything that is used in L1, and these.  QEMU must lie
# in /usr/bin for its firmware to be found.
lab_make() {
	local cpio=$1 tree=$1.tree
	shift
	mkdir -p "$tree"/{bin,usr/bin,usr/share/qemu,usr/share/seabios,modules,proc,sys,dev,run,tmp}
	cp "$(command -v busybox)" "$tree/bin/"
	lab_programs "$tree" "$(command -v qemu-system-x86_64)" "$SCRY_BUILD"/tool/scry \
		"$SCRY_BUILD"/tests/{conformance/scry-conformance,kvmi/kvmi-raw} "$@"
	cp "$SCRY_AGENT" "$tree/"
	cp -L "$SCRY_BUILD/lib/libscry.so.0" "$tree/lib/x86_64-linux-gnu/"
	lab_programs "$tree" "$SCRY_AGENT"
	cp /usr/share/qemu/{pvh.bin,linuxboot_dma.bin,kvmvapic.bin} "$tree/usr/share/qemu/"
	cp /usr/share/seabios/bios-256k.bin "$tree/usr/share/seabios/"
	find "$lab_linux/lib/modules" \( -name irqbypass.ko -o -name kvm.ko -o -name kvm-amd.ko -o -name kvm-intel.ko \) \
		-exec cp -t "$tree/modules" {} +
	cp "$SCRY_BUILD/tests/guest/probe/probe" "$kernel" "$SCRY_INITRD" "$tree/"
	mv "$tree/${kernel##*/}" "$tree/vmlinuz"
	mv "$tree/${SCRY_INITRD##*/}" "$tree/initrd.gz"
	cp "$lab/init" "$lab"/l1-* "$tree/"
	(cd "$tree" && find . | cpio -o -H newc --quiet) >"$cpio"
	rm -rf "$tree"
}

# lab_arguments SCRIPT [WORD...]: L1's kernel has it run a script of this folder.
lab_arguments() {
	local script=$1 words
	shift
	words=$*
	echo "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check l1.script=$script \
l1.words=${words// /,}"
}

# lab_run INITRAMFS SCRIPT [WORD...]: boot L1 in QEMU; what the script prints is printed.
lab_run() {
	local initramfs=$1
	shift
	# shellcheck disable=SC2046,SC2086 # words
	timeout 1400 $(qemu_command 10.0) -accel tcg,tb-size=512$lab_accel -m 2048 $lab_machine \
		-cpu EPYC,-monitor -nodefaults -display none -serial stdio -no-reboot -pidfile "$work/l1.pid" \
		-kernel "$lab_linux"/boot/vmlinuz-* -initrd "$initramfs" -append "$(lab_arguments "$@")" \
		</dev/null 2>&1 | sed -u 's|\r$||'
}

# lab_run_bochs INITRAMFS SCRIPT [WORD...]: the same in Bochs, where time goes by instructions.
lab_run_bochs() {
	local dir=$work/bochs xen bochs pid line ended=
	xen=$(echo "$SCRY_CACHE"/xen-*)
	bochs=$(echo "$SCRY_CACHE"/bochs-*)
	# shellcheck source=../lib/bochs.sh
	. "$lab/../lib/bochs.sh"
	mkdir -p "$dir/iso/boot"
	cp "$lab_linux"/boot/vmlinuz-* "$dir/iso/boot/vmlinuz"
	ln "$1" "$dir/iso/boot/initramfs"
	shift
	cat >"$dir/grub.cfg" <<-EOT
	linux (cd)/boot/vmlinuz $(lab_arguments "$@") nokaslr tsc=reliable apparmor=0
	initrd (cd)/boot/initramfs
	boot
	EOT
	bochs_medium "$dir" linux || return
	: >"$dir/console"
	(bochs_boot "$dir" 768) >"$dir/log" 2>&1 &
	pid=$!
	echo $pid >"$work/bochs.pid"
	while IFS= read -r line; do
		printf '%s\n' "$line"
		[ "$line" = "L1: end" ] || continue
		ended=1
		kill -KILL $pid
	done < <(timeout 1400 tail --pid=$pid -f -s 0.1 -n +1 "$dir/console" | sed -u 's|\r$||')
	[ "$ended" ] || tail -n 5 "$dir/log" "$dir/bochs.log"
}
