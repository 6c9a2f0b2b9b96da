# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad input: one clear sentence, and the right exit status.  Sourced by run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by guest.sh and run
# shellcheck disable=SC2317 # called through test_that

# refuses NAME STATUS WORDS ARGUMENTS...: of the command scry.
refuses() {
	local name=$1 status=$2 words=$3
	shift 3
	test_that "$name" refused "$status" "$words" "$scry" "$@"
}

# The command, its library and a socket where another user can reach them.
another_user() {
	local dir=$work/public status
	mkdir -p "$dir" && chmod 711 "$work" && chmod 755 "$dir" &&
		cp "$SCRY_BUILD/tool/scry" "$SCRY_BUILD/lib/libscry.so.0" "$dir" || return 1
	guest_start public 7.2 1 64M -S || return 1
	eventually [ -S "$SCRY_RUNTIME_DIR/public.sock" ]
	chmod 711 "$SCRY_RUNTIME_DIR"
	refused 1 "$1" setpriv --reuid=65534 --regid=65534 --clear-groups \
		env LD_LIBRARY_PATH="$dir" "$dir/scry" info "qemu:$SCRY_RUNTIME_DIR/public.sock"
	status=$?
	chmod 700 "$SCRY_RUNTIME_DIR"
	guest_stop public
	return $status
}

full_disk() {
	refused 1 "No space left" "$scry" read --raw -o "$work/full/dump" "$1" 0x100000 16M &&
		same "files left" "$(ls "$work/full")" ""
}

# The range fails late: nothing is printed before.
nothing_of_a_range() {
	local how
	for how in --json --raw --pause; do
		refused 1 "0x10000000" "$scry" read $how "$1" 0xfe00000 4M &&
			same "bytes of output" "$(stat -c %s "$work/out")" 0 || return 1
	done
}

second_client() {
	start_aside "$scry" pause "$1"
	wait_aside "is paused" || return 1
	refused 1 "client.* $aside|$aside.*client|PID $aside" "$scry" info "$1" && end_aside TERM 0
}

input_tests() {
	local vm=$1
	refuses "unknown kind of URI" 1 "driver|scheme|nonsense" info nonsense:x
	refuses "unknown name" 1 "nobody" info nobody
	refuses "no such socket" 1 "/nonexistent" info qemu:/nonexistent/x.sock
	refuses "unknown vCPU" 1 "vCPU 7" regs --vcpu 7 "$vm"
	refuses "unknown register" 2 "rxx" regs "$vm" rxx
	refuses "unknown event" 2 "cr9" trace "$vm" cr9
	refuses "register value refused" 1 "cr4|CR4" regs "$vm" --set cr4=0xffffffffffffffff
	refuses "address outside RAM" 1 "0x7f0000000000" read "$vm" 0x7f0000000000 16
	refuses "address half outside RAM" 1 "0x10000000" read --raw -o "$work/x" "$vm" 0xffffff8 16
	test_that "nothing printed of a range half outside RAM" nothing_of_a_range "$vm"
	refuses "write half outside RAM" 1 "0x10000000" write --hex "00 00 00 00 00 00 00 00 00 00" \
		"$vm" 0xffffff8
	refuses "range past the end of all addresses" 2 "past the end" read "$vm" 0xfffffffffffffff8 16
	refuses "non-canonical address" 1 "canonical" translate "$vm" 0x8000000000000000
	refuses "non-canonical address read" 1 "canonical" read -V "$vm" 0x8000000000000000 8
	refuses "virtual address not mapped" 1 "0x10: |0x10 .*present" read -V "$vm" 0x10 8
	test_that "second client" second_client "$vm"
	test_that "few files may be open" refused 1 "ulimit -n" bash -c "ulimit -n 5; exec '$scry' info $vm"
	if [ "$(id -u)" != 0 ]; then
		skip "$on: no permission on the socket" "only root can act as another user"
		skip "$on: full disk" "only root can mount one"
		return
	fi
	test_that "no permission on the socket" another_user "ermission"
	mkdir -p "$work/full"
	if mount -t tmpfs -o size=1M scry-full "$work/full" 2>/dev/null; then
		test_that "full disk" full_disk "$vm"
		umount "$work/full"
	else
		skip "$on: full disk" "no mounts are permitted here"
	fi
}
