# SPDX-License-Identifier: LGPL-2.1-or-later
# The files that the lab's machines boot.  Sourced by lab.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set there

# Made once, for all that boot the same Xen.
ready=$xen/ready
dom0_modules="xen-privcmd xen-evtchn xen-gntdev xenfs"

# Copy programs and files ($2...) into a tree, and the libraries of the programs.
image_put() {
	local tree=$1 file
	shift
	for file in "$@"; do
		cp "$file" "$tree/bin/"
		ldd "$file" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' || true
	done | sort -u | while read -r file; do
		cp -uL "$file" "$tree/lib/"
	done
}

# What does not change: the hypervisor, dom0's kernel, and what its /init needs.
image_prepare() {
	local part tree module library
	[ -d "$ready" ] && return
	part=$(mktemp -d "$xen/part.XXXXXX")
	tree=$part/tree
	gunzip -c "$xen"/boot/xen-4.17-amd64.gz >"$part/xen"
	"$here/unpack-kernel" "$xen"/boot/vmlinuz-* "$part/vmlinux" || return
	mkdir -p "$tree"/{bin,lib,lib64,dev,proc,sys,tmp,var,modules}
	for module in $dom0_modules; do
		find "$xen/lib/modules" -name "$module.ko" -exec cp {} "$tree/modules/" \;
	done
	image_put "$tree" "$xen/bin/busybox" "$xen"/usr/lib/xen-*/bin/xenstored "$xen"/usr/bin/xenstore-{ls,read,write}
	# Those that are loaded at run time only.
	for library in libxenctrl libxenforeignmemory libxenevtchn libxencall libxenstore \
		libxendevicemodel libxenguest; do
		image_put "$tree" "/usr/lib/x86_64-linux-gnu/$library".so.?
		image_put "$tree" "/usr/lib/x86_64-linux-gnu/$library".so.?.??
		mv "$tree/bin/$library"* "$tree/lib/"
	done 2>/dev/null
	cp -L /lib64/ld-linux-x86-64.so.2 "$tree/lib64/"
	(cd "$tree" && find . | cpio -o -H newc --quiet) >"$part/base.cpio"
	rm -rf "$tree"
	mv -T "$part" "$ready" 2>/dev/null || rm -rf "$part"	# another was faster
}

# image_make FOLDER COMMAND: its files xen, vmlinux and initramfs.
image_make() {
	local dir=$1 tree=$1/tree file
	local -a files=("$build/tool/scry" "$build/tests/conformance/scry-conformance"
		"$build/bench/scry-bench" "$build"/tests/xen/xen-{domain,balloon,ends})
	image_prepare || return
	read -r -a more <<<"${SCRY_LAB_FILES-}"
	mkdir -p "$tree/bin" "$tree/lib"
	image_put "$tree" "${files[@]}" "${more[@]}"
	cp "$build/tests/guest/probe/probe" "$tree/probe"
	cp "$here/init" "$tree/init"
	printf '%s\n' "$2" >"$tree/command"
	printf 'lab_probe="%s"\nlab_store="%s"\n' "${SCRY_LAB_PROBE-2 64}" "${SCRY_LAB_STORE-yes}" \
		>"$tree/settings"
	for file in "$tree"/bin/*; do
		[ ! -x "$file" ] || strip --strip-debug "$file" 2>/dev/null || true
	done
	(cd "$tree" && find . | cpio -o -H newc --quiet) >"$dir/more.cpio"
	cat "$ready/base.cpio" "$dir/more.cpio" >"$dir/initramfs"
	rm -rf "$tree" "$dir/more.cpio"
}
