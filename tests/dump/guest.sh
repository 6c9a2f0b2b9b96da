# SPDX-License-Identifier: LGPL-2.1-or-later
# Dumps of a real Linux guest, by QEMU and by scry, and who opens them.  Sourced by run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by guest.sh

d=$work/dumps
qmp() { "$here/../lib/qmp" "$work/qmp" "$@"; }
# Debian's Python, for which its drgn is.
drgn() { /usr/bin/python3 -c "import drgn; p = drgn.Program(); p.set_core_dump('$1'); $2"; }

# Both of QEMU's kinds, of one moment, have the same memory and registers.
qemu_cores() {
	local kind
	qmp stop >/dev/null || return 1
	for kind in true false; do
		qmp dump-guest-memory "{\"paging\": $kind, \"protocol\": \"file:$d/qemu-$kind\"}" || return 1
	done
	qmp cont >/dev/null || return 1
	scry regs --all "file:$d/qemu-true" >"$work/a" && scry regs --all "file:$d/qemu-false" >"$work/b" &&
		cmp "$work/a" "$work/b" || return 1
	scry read "file:$d/qemu-true" 0 128M -o "$work/a" && scry read "file:$d/qemu-false" 0 128M -o "$work/b" &&
		cmp "$work/a" "$work/b"
}

# What the guest wrote is there, at the address that it had it at.
guest_page() {
	local gpa
	gpa=$(guest_ask dump touch | grep -o '0x[0-9a-f]*$') || return 1
	scry dump dump "$d/core" >"$work/out" || return 1
	same "page" "$(scry read "file:$d/core" "$gpa" 16 --raw | cat)" "scry guest page "
}

lstar() { scry regs --msr lstar "$1" | grep -o '[0-9a-f]\{16\}'; }

# The kernel's entry, found by the dump's registers and page tables.
kernel_code() {
	local at
	at=$(lstar "file:$d/core") || return 1
	same "lstar" "$at" "$(lstar dump)" || return 1
	scry read "file:$d/core" -V --cr3 "$(scry regs "file:$d/core" --json | pick 'd["cr3"]')" "0x$at" 256 --raw >"$work/a" &&
		scry read dump -V "0x$at" 256 --raw >"$work/b" && cmp "$work/a" "$work/b"
}

# A dump of a dump is the same, compressed and not.
again() {
	scry dump "file:$d/core" "$d/again" >/dev/null && cmp "$d/core" "$d/again" &&
		scry dump --zstd "file:$d/core" "$d/zst" >/dev/null &&
		zstd -qdf "$d/zst" -o "$d/again" && cmp "$d/core" "$d/again" &&
		scry dump "file:$d/zst" "$d/again" >/dev/null && cmp "$d/core" "$d/again" &&
		[ "$(stat -c %s "$d/zst")" -lt $((128 << 20)) ]
}

sparse() {
	local blocks
	blocks=$(stat -c %b "$d/core")
	[ $((blocks * 512)) -lt $((200 << 20)) ] || echo "$blocks blocks on disk"
}

live() { scry dump --live --json dump "$d/live" | pick 'd["vcpus"]' | grep -qx 2 && lstar "file:$d/live"; }

readelf_is_silent() {
	readelf -a "$d/core" 2>&1 >/dev/null | (! grep .) &&
		same "VMCOREINFO" "$(readelf -n "$d/core" | grep -c VMCOREINFO)" 1
}

in_gdb() {
	gdb -nx -batch -c "$d/core" -ex "info threads" -ex "p/x \$rip" -ex "p \$mxcsr" \
		-ex "x/i 0x$(lstar "file:$d/core")" 2>&1 | tee "$work/gdb"
	grep -q "swapgs" "$work/gdb" && grep -q "LWP 2" "$work/gdb" &&
		grep -q "= 0x$(scry regs "file:$d/core" rip | grep -o '[0-9a-f]\{16\}' | sed 's/^0*//')" "$work/gdb"
}

# It knows it for a Linux kernel, and walks its page tables.
in_drgn() {
	local at
	at=$(lstar "file:$d/core")
	drgn "$d/core" "assert p.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
import sys; sys.stdout.buffer.write(p.read(0x$at, 256))" >"$work/b" && cmp "$work/a" "$work/b"
}

# Without debug symbols it reads the notes, and asks for them.
in_crash() {
	timeout $patience crash -d1 "$d/core" </dev/null >"$work/crash" 2>&1
	grep -q "SYMBOL(init_uts_ns)" "$work/crash" && grep -q "namelist argument required" "$work/crash"
}

# The guest's own list of its RAM, and that memory, as the module LiME writes them; and raw,
# where what is between them is a hole of the file.  All of one moment.
other_formats() {
	local ranges range first last size at
	ranges=$(guest_ask dump iomem) && qmp stop >/dev/null || return 1
	: >"$d/lime"
	truncate -s 256M "$d/raw"
	for range in $ranges; do
		first=$((16#${range%-*})) last=$((16#${range#*-}))
		# Of a part of a page nothing is known.
		first=$(((first + 4095) & ~4095)) size=$(((last + 1 & ~4095) - first))
		python3 -c "import struct, sys; sys.stdout.buffer.write(
struct.pack('<IIQQQ', 0x4c694d45, 1, $first, $first + $size - 1, 0))" >>"$d/lime"
		scry read dump $first $size --raw >"$d/range" || return 1
		cat "$d/range" >>"$d/lime"
		at=$((first / 4096))
		dd if="$d/range" of="$d/raw" bs=4096 seek=$at conv=notrunc,sparse status=none
	done
	scry ps --json dump >"$work/a" && scry modules --json dump >>"$work/a" && qmp cont >/dev/null || return 1
	for at in lime raw; do
		scry ps --json "file:$d/$at" >"$work/b" && scry modules --json "file:$d/$at" >>"$work/b" &&
			cmp "$work/a" "$work/b" || return 1
	done
	same "ranges" "$(scry info --json "file:$d/lime" | pick 'len(d["memory_map"])')" "$(wc -w <<<"$ranges")" &&
		rm "$d/range" "$d/raw"
}

# A part, as dump-guest-memory makes it of begin and length: memory outside it is not there.
qemu_part() {
	qmp dump-guest-memory "{\"paging\": false, \"protocol\": \"file:$d/part\", \"begin\": 16777216, \"length\": 8388608}" ||
		return 1
	scry read "file:$d/part" 16M 8M --raw >/dev/null && refused 1 "no guest memory at 0x1800000" \
		"$scry" read "file:$d/part" 24M 16
}

# What libvirt and QEMU write with other words is told from a damaged file, and what to do.
qemu_compressed() {
	qmp dump-guest-memory "{\"paging\": false, \"protocol\": \"file:$d/zlib\", \"format\": \"kdump-zlib\"}" ||
		return 1
	refused 1 "makedumpfile's (flattened|compressed) format: .*makedumpfile -[RE]" "$scry" ps "file:$d/zlib"
	rm "$d/zlib"
}

# Somebody who is not root: files that are theirs, and such as are not.
as_nobody() {
	local user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	# Nobody can be made of somebody else, nor get at a build that lies in root's own folder.
	[ "$(id -u)" = 0 ] && "${user[@]}" test -x "$scry" || user=()
	mkdir -p "$work/theirs"
	chmod 755 "$work" "$d"
	chmod 777 "$work/theirs"
	chmod 644 "$d/core"
	timeout $patience "${user[@]}" "$scry" ps "file:$d/core" | grep /init || return 1
	timeout $patience "${user[@]}" "$scry" dump --zstd "file:$d/core" "$work/theirs/core" || return 1
	chmod 600 "$d/core"
	[ ${#user[@]} = 0 ] || refused 1 "cannot open the dump .*Permission denied" "${user[@]}" "$scry" ps "file:$d/core" || return 1
	chmod 555 "$work/theirs"
	[ ${#user[@]} = 0 ] || refused 1 "cannot make a file beside .*Permission denied" "${user[@]}" "$scry" \
		dump "file:$work/theirs/core" "$work/theirs/again"
}

nothing_left() { same "files" "$(ls "$work/empty")" "$1"; }

full_disk() {
	mkdir -p "$work/empty"
	echo old >"$work/empty/core"
	refused 1 "cannot write .*nothing of it was left" bash -c "ulimit -f 1000; '$scry' dump dump '$work/empty/core'" &&
		same "the file that was there" "$(cat "$work/empty/core")" old &&
		nothing_left core && rm "$work/empty/core" &&
		refused 1 "No space left" "$scry" dump dump /dev/full
}

# A dump that has begun: it has opened a file, which may have no name.
dump_begun() {
	local end=$((SECONDS + patience))
	start_aside "$scry" dump --zstd dump "$work/empty/core"
	until readlink "/proc/$aside/fd/"* | grep -q "^$work/empty/"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

interrupted() {
	dump_begun && end_aside INT 1 && grep -q "interrupted" "$work/aside.err" && nothing_left "" &&
		guest_ask dump time
}

# Where a file can be without a name (O_TMPFILE; else see scry-dump(1)).
killed() {
	dump_begun && end_aside KILL 137 || return 1
	python3 -c "import os; os.open('$work/empty', os.O_TMPFILE | os.O_WRONLY)" || rm -f "$work/empty/core."*
	nothing_left "" && guest_ask dump time
}

# The rest of a file that is shorter than it says: said with each look, and no dump is made of it.
cut_short() {
	local short="is shorter than its headers say"
	head -c 150M "$d/core" >"$d/short"
	scry ps "file:$d/short" >"$work/out" 2>"$work/err"
	grep -q "$short" "$work/err" || return 1
	! scry dump "file:$d/short" "$work/empty/core" 2>"$work/err" || return 1
	grep -q "$short" "$work/err" && grep -q -- "--partial" "$work/err" && nothing_left "" || return 1
	scry dump --partial "file:$d/short" "$work/empty/core" 2>"$work/err" &&
		grep -q "$short" "$work/err" && ! scry info "file:$work/empty/core" 2>&1 | grep "$short" &&
		rm "$work/empty/core"
}

no_calls() { refused 1 "nothing runs in it" "$scry" syscalls "file:$d/core"; }

no_dash() { refused 2 "name /dev/stdout" "$scry" dump "file:$d/core" - && [ ! -e ./- ]; }

# A pipe has no holes; what cannot be read is not begun.
pipe() {
	mkfifo "$work/pipe"
	cat "$work/pipe" >"$work/empty/piped" &
	scry dump "file:$d/core" "$work/pipe" >/dev/null && wait $! && cmp "$d/core" "$work/empty/piped"
}

# Its report is not behind the dump then.
to_stdout() {
	scry dump --zstd "file:$d/core" /dev/stdout 2>"$work/err" | cat >"$d/piped.zst" &&
		zstd -qdf "$d/piped.zst" -o "$d/again" && cmp "$d/core" "$d/again" &&
		scry info "file:$d/piped.zst" >"$work/out" && grep -q " in /dev/stdout" "$work/err" ||
		return 1
	scry dump --json "file:$d/core" /dev/stdout 2>"$work/err" | cat >"$d/again" &&
		cmp "$d/core" "$d/again" && pick 'd["vcpus"]' <"$work/err" && rm "$d/piped.zst"
}

# A kernel whose tables have all entries lead to one that is empty: to search them takes for ever.
endless_tables() {
	python3 - "$d/endless" <<-'EOF'
	import struct, sys
	image = bytearray(1 << 20)
	info = b"OSRELEASE=endless\nSYMBOL(init_uts_ns)=ffffffff80002000\nNUMBER(phys_base)=0\n" \
	    b"SYMBOL(swapper_pg_dir)=ffffffff80003000\n"
	image[0x1000:0x1000 + len(info)] = info
	image[0x2000:0x2006] = b"Linux\0"
	image[0x2082:0x2082 + 8] = b"endless\0"
	for table in 0x3000, 0x4000, 0x5000:
	    image[table:table + 4096] = 512 * struct.pack("<Q", table + 0x1000 | 3)
	open(sys.argv[1], "wb").write(image)
	EOF
	scry dump --json "file:$d/endless" "$d/again" >"$work/out" &&
		same "VMCOREINFO" "$(pick 'd["vmcoreinfo"]' <"$work/out")" True
}

guest_tests() {
	test_that "QEMU's cores, paging and not" qemu_cores
	test_that "QEMU's core of a part of memory" qemu_part
	test_that "QEMU's compressed dump is named" qemu_compressed
	test_that "LiME, and raw with holes, by the guest's own list of its RAM" other_formats
	test_that "a page of the guest's in scry's core" guest_page
	test_that "the kernel's code by its registers" kernel_code
	test_that "a dump of a dump, compressed or not, is the same" again
	test_that "zeros are holes" sparse
	test_that "live" live
	test_that "readelf" readelf_is_silent
	test_that "gdb" in_gdb
	test_that "drgn" in_drgn
	test_that "crash" in_crash
	test_that "a full disk leaves what was there" full_disk
	test_that "Ctrl-C leaves nothing, and the guest goes on" interrupted
	test_that "SIGKILL leaves nothing, and the guest goes on" killed
	test_that "a file cut short" cut_short
	test_that "no system calls in a dump" no_calls
	test_that "a dash is no file" no_dash
	test_that "not as root" as_nobody
	test_that "into a pipe" pipe
	test_that "into standard output" to_stdout
	test_that "a kernel's page tables without end" endless_tables
}
