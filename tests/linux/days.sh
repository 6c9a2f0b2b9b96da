# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad days: the VM ends, QEMU is told to stop or quit, versions differ.  Sourced by run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by guest.sh and run
# shellcheck disable=SC2317 # called through test_that

# day NAME FUNCTION: run it over a fresh guest named day, of $day_version.
day() {
	linux_start day "$day_version" 2 128M idle -qmp "unix:$work/qmp,server=on,wait=off" || {
		fail "$on: $1" "the guest did not get ready"
		guest_stop day
		return
	}
	test_that "$1" "$2"
	guest_stop day
}

qmp() { "$here/../lib/qmp" "$work/qmp" "$1"; }

# What runs aside ends with this status and one sentence that says the VM has ended.
aside_says_ended() {
	end_aside none "$1" || return 1
	cat "$work/aside.err"
	grep -q "ended" "$work/aside.err" && same "lines of the message" "$(wc -l <"$work/aside.err")" 1
}

kill_guest() {
	kill -KILL "$(guest_pid day)"
	wait "$(guest_pid day)" 2>/dev/null
	return 0
}

# QEMU ends by itself, and well.
quits() {
	guest_status day $patience && same "QEMU's exit status" "$status" 0
}

ends_while_read() {
	start_aside "$steer" day read
	wait_aside ready && sleep 0.3 && kill_guest && aside_says_ended 3
}

ends_while_paused() {
	start_aside "$scry" pause day
	wait_aside "is paused" && kill_guest && aside_says_ended 1
}

ends_while_traced() {
	start_aside "$scry" trace --json day cr3 cpuid rdmsr wrmsr
	wait_aside "\"event\"" || return 1
	kill_guest && aside_says_ended 0 &&
		same "why" "$(tail -n 1 "$work/aside" | pick 'd["summary"]["ended"]')" vm-ended
}

hold_one() {
	start_aside "$steer" day hold 0x40000001
	wait_aside ready && guest_say day "cpuid 0x40000001" && wait_aside held
}

ends_while_held() {
	hold_one && kill_guest && sleep 0.2 && kill -USR1 "$aside" && aside_says_ended 3
}

quit_while_held() {
	hold_one && qmp quit && quits &&
		kill -USR1 "$aside" && aside_says_ended 3
}

quit_while_paused() {
	start_aside "$scry" pause day
	wait_aside "is paused" && qmp quit && quits &&
		aside_says_ended 1
}

# QEMU's own stop and cont, while the vCPUs are held by scry, and released meanwhile.
stop_while_paused() {
	start_aside "$scry" pause day
	wait_aside "is paused" && qmp stop && qmp cont || return 1
	end_aside TERM 0 && same "the guest" "$(guest_ask day "cpuid 0x4fffffff" | wc -w)" 4
}

stop_stays_behind_pause() {
	local lines
	start_aside "$scry" pause day
	wait_aside "is paused" && qmp stop && end_aside TERM 0 || return 1
	lines=$(guest_lines day)
	guest_say day "cpuid 0x4fffffff"
	sleep 1
	same "lines while stopped" "$(guest_lines day)" "$lines" && qmp cont &&
		guest_wait day "guest: cpuid 0x4fffffff:" $patience "$lines"
}

stop_while_held() {
	local lines
	hold_one && lines=$(guest_lines day) && qmp stop && qmp cont && kill -USR1 "$aside" &&
		guest_wait day "guest: cpuid 0x40000001:" $patience "$lines" && end_aside TERM 0
}

look_while_stopped() {
	qmp stop && scry regs day --vcpu 1 rip && scry read day 0x100000 16 && qmp cont &&
		same "the guest" "$(guest_ask day "cpuid 0x4fffffff" | wc -w)" 4
}

guest_powers_off() {
	start_aside "$scry" pause --for 600 day
	wait_aside "is paused" && end_aside TERM 0 || return 1
	trace_begin day cr3 && guest_say day off && quits && aside_says_ended 0
}

# From reset on, until Linux has started both vCPUs, every write to RAM is a trap that the
# agent lets pass; then it goes on without.
protected_from_reset() {
	local status
	guest_start day "$day_version" 2 128M -S -qmp "unix:$work/qmp,server=on,wait=off" \
		-kernel "$kernel" -initrd "$SCRY_INITRD" \
		-append "console=ttyS0 panic=-1 scry.mode=idle"
	eventually "$scry" info day
	start_aside "$steer" day protect
	wait_aside ready && qmp cont && guest_wait day "smp: Brought up 1 node, 2 CPUs" 600 &&
		end_aside TERM 0 && same "output" "$(cat "$work/aside")" ready &&
		guest_wait day "guest: ready" $patience &&
		same "cpus" "$(guest_ask day "cpuid 0x4fffffff" | wc -w)" 4
	status=$?
	guest_stop day
	return $status
}

# Whatever a client asks for, QEMU and the guest live.
hostile_client() {
	timeout $patience "$here/hostile_client" "$SCRY_RUNTIME_DIR/day.sock" $RANDOM 4000 &&
		same "the guest" "$(guest_ask day "cpuid 0x4fffffff" | wc -w)" 4 && scry info day
}

# How often the agent's thread has gone to sleep.
agent_sleeps() {
	local task
	for task in "/proc/$(guest_pid day)/task"/*; do
		[ "$(<"$task/comm")" = scry-agent ] &&
			sed -n 's/^voluntary_ctxt_switches:\t//p' "$task/status"
	done
}

# Who connects and says nothing is hung up on; without anybody the agent sleeps.
silent_peer() {
	local before
	python3 - "$SCRY_RUNTIME_DIR/day.sock" <<-'EOF' || return 1
	import socket, sys, time
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.settimeout(8)
	began = time.monotonic()
	s.connect(sys.argv[1])
	said, took = s.recv(1), time.monotonic() - began
	if said or took < 1.5:
	    sys.exit(f"{said} after {took} s")
	EOF
	sleep 0.5	# it is on its way to sleep
	before=$(agent_sleeps)
	sleep 2.5
	same "sleeps" "$(agent_sleeps)" "$before" && scry info day
}

# Nothing can be injected into a vCPU that the guest has not started.
not_started() {
	local status
	guest_start reset "$day_version" 2 64M -S
	eventually "$scry" info reset
	refused 1 "vCPU 1.*SIPI" "$steer" reset inject 1 &&
		same "output" "$(cat "$work/out")" "" &&
		same "vCPU 1" "$("$scry" regs --vcpu 1 reset rip)" "rip        000000000000fff0"
	status=$?
	guest_stop reset
	return $status
}

day_tests() {
	day_version=$1
	day "VM killed while it is read" ends_while_read
	day "VM killed while paused" ends_while_paused
	day "VM killed while traced" ends_while_traced
	day "VM killed while an event waits" ends_while_held
	day "guest powers off while traced" guest_powers_off
	day "QMP quit while an event waits" quit_while_held
	day "QMP quit while paused" quit_while_paused
	day "QMP stop and cont while paused" stop_while_paused
	day "QMP stop outlives a pause" stop_stays_behind_pause
	day "QMP stop and cont while an event waits" stop_while_held
	test_that "injection before the guest starts a vCPU" not_started
	test_that "all RAM write-protected from reset" protected_from_reset
	day "a peer that says nothing" silent_peer
	day "a client with wild requests" hostile_client
	day "looked into while QMP has stopped it" look_while_stopped
}

# The agent of these sources, but of another protocol version.
make_other_agent() {
	mkdir "$1" && cp -r agent bench completions include lib man meson.build meson_options.txt \
		protocol tests tool "$1" &&
		sed -i 's/\(define SCRY_AGENT_VERSION\) .*/\1 999u/' "$1/protocol/agent_protocol.h" &&
		meson setup "$work/other" "$1" -Dman=disabled &&
		ninja -C "$work/other" agent/scry-agent.so
}

# An agent and a library of two protocol versions.
other_version() {
	local src=$work/src agent status
	make_other_agent "$src" >"$work/out" 2>&1 || {
		tail -n 5 "$work/out"
		return 1
	}
	agent=$SCRY_AGENT
	SCRY_AGENT=$work/other/agent/scry-agent.so
	guest_start other 7.2 1 64M -S
	SCRY_AGENT=$agent
	eventually [ -S "$SCRY_RUNTIME_DIR/other.sock" ]
	refused 1 "protocol 999.*agent" "$scry" info other &&
		refused 1 "start the VM anew" "$scry" info other
	status=$?
	guest_stop other
	return $status
}

# refuses_to_load WORDS COMMAND...: a QEMU ends at once, and the agent says why in one line.
refuses_to_load() {
	local words=$1
	shift
	if timeout $patience "$@" -display none -plugin "$SCRY_AGENT" >"$work/out" 2>&1; then
		echo "it did not refuse"
		return 1
	fi
	cat "$work/out"
	same "lines of the agent" "$(grep -c '^scry-agent: ' "$work/out")" 1 &&
		grep -q "^scry-agent: .*$words" "$work/out"
}

no_symbols() {
	"$SCRY_ASAN_BUILD/tests/linux/fake-qemu" "$SCRY_AGENT" 2>"$work/out" &&
		same "lines" "$(wc -l <"$work/out")" 1 && grep -q "^scry-agent: .* qemu_" "$work/out"
}

# bound PATH MODE TYPE: a socket that its program left behind.
bound() {
	rm -f "$1"
	python3 - "$@" <<-'EOF'
	import os, socket, sys
	socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[3])).bind(sys.argv[1])
	os.chmod(sys.argv[1], int(sys.argv[2], 8))
	EOF
}

# The socket stays, and the agent does not load.
refuses_socket() {
	local inode
	inode=$(stat -c %i "$work/sock") &&
		refuses_to_load "$1" qemu-system-x86_64 -plugin "$SCRY_AGENT,socket=$work/sock" &&
		same "inode" "$(stat -c %i "$work/sock")" "$inode"
}

foreign_sockets() {
	bound "$work/sock" 755 SOCK_STREAM && refuses_socket "not one that an agent" || return 1
	if [ "$(id -u)" = 0 ]; then
		bound "$work/sock" 600 SOCK_SEQPACKET && chown 65534 "$work/sock" &&
			refuses_socket "not one that an agent" || return 1
	fi
	rm -f "$work/sock"
	python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])
s.listen(); s.accept()' "$work/sock" &
	echo $! >"$work/listens.pid"
	eventually [ -S "$work/sock" ]
	refuses_socket "another program's"
}

own_socket() {
	local status=0
	mkdir -p "$SCRY_RUNTIME_DIR"
	bound "$SCRY_RUNTIME_DIR/left.sock" 600 SOCK_SEQPACKET || return 1
	guest_start left 7.2 1 64M -S
	eventually "$scry" info left
	"$scry" info left || status=$?
	guest_stop left
	return $status
}

load_tests() {
	test_that "where a foreign socket is" foreign_sockets
	test_that "where a dead agent's socket is" own_socket
	test_that "of another version" other_version
	test_that "in a QEMU without the symbols it needs" no_symbols
	test_that "in a QEMU for another processor" refuses_to_load x86_64 qemu-system-i386
	test_that "with -icount" refuses_to_load icount qemu-system-x86_64 -icount 1
	test_that "with one thread for all vCPUs" refuses_to_load thread=multi qemu-system-x86_64 \
		-smp 2 -accel tcg,thread=single
	test_that "with an option it does not know" refuses_to_load nonsense \
		qemu-system-x86_64 -plugin "$SCRY_AGENT,nonsense=1"
}
