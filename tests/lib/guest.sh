# SPDX-License-Identifier: LGPL-2.1-or-later
# Start and stop guests for tests.  Sourced by tests/*/run, which scripts/test
# starts with SCRY_BUILD, SCRY_ASAN_BUILD, SCRY_CACHE and SCRY_INITRD set.
# Everything is stopped and removed when the sourcing script ends.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used there

: "${SCRY_BUILD:?run scripts/test}" "${SCRY_CACHE:?}" "${SCRY_INITRD:?}"
work=$(mktemp -d)
export SCRY_RUNTIME_DIR=$work/run
export SCRY_AGENT=$SCRY_BUILD/agent/scry-agent.so
kernel=$(echo "$SCRY_CACHE"/kernel-*/boot/vmlinuz-*)
qemu_versions="7.2 10.0"
# Tools that look in from outside run under ASan and UBSan.
scry=$SCRY_ASAN_BUILD/tool/scry
failures=0
# Seconds for what takes moments where nothing else runs: only a failure takes them all.
patience=180
# QEMU arguments that come before the agent's.
guest_first=()

# Verdicts; since the one before that many seconds have passed.
last_verdict=${EPOCHREALTIME//[!0-9]/}
took() {
	local now=${EPOCHREALTIME//[!0-9]/} tenths
	tenths=$(((now - last_verdict) / 100000))
	last_verdict=$now
	took="$((tenths / 10)).$((tenths % 10)) s"
}
ok() {
	took
	echo "ok $* ($took)"
}
fail() {
	took
	echo "FAIL $1: $2"
	failures=$((failures + 1))
}
skip() {
	took
	echo "skip $1: $2"
}

# check NAME COMMAND...: what it prints is shown if it fails.
check() {
	local name=$1
	shift
	if "$@" >"$work/check" 2>&1; then
		ok "$name"
	else
		fail "$name" "$(tail -n 3 "$work/check" | tr '\n' ' ')"
		cat "$work/check"
	fi
}

guest_cleanup() {
	local pid
	while read -r pid; do
		kill -KILL "$pid" 2>/dev/null
	done < <(cat "$work"/*.pid 2>/dev/null)
	wait 2>/dev/null
	rm -rf "$work"
}
trap guest_cleanup EXIT
trap 'exit 1' INT TERM HUP

# The command line, up to machine options, of QEMU 7.2 or 10.0.
qemu_command() {
	local dir
	case $1 in
	7.2) echo "qemu-system-x86_64" ;;
	10.0)
		dir=$(echo "$SCRY_CACHE"/qemu-10*)
		echo "$dir/usr/bin/qemu-system-x86_64 -L $dir/usr/share/qemu -L $dir/usr/share/seabios"
		;;
	esac
}

# guest_start NAME VERSION SMP MEMORY [QEMU ARGUMENTS...]: shared RAM, agent,
# console in $work/NAME.log, its input from guest_say.
guest_start() {
	local name=$1 version=$2 smp=$3 memory=$4
	shift 4
	guest_start_private "$name" "$version" "$smp" "$memory" \
		-object "memory-backend-memfd,id=scry-ram,size=$memory,share=on" \
		-machine memory-backend=scry-ram "$@"
}

# The same, with RAM that is QEMU's own.
guest_start_private() {
	local name=$1 version=$2 smp=$3 memory=$4
	shift 4
	rm -f "$work/$name.in"
	mkfifo "$work/$name.in"
	: >"$work/$name.log"
	# Both ways, so that neither end waits for the other.
	exec {guest_in}<>"$work/$name.in"
	# shellcheck disable=SC2046
	$(qemu_command "$version") -accel tcg,thread=multi -smp "$smp" -m "$memory" \
		"${guest_first[@]}" -plugin "$SCRY_AGENT,name=$name" -nodefaults -display none -no-reboot \
		-serial stdio "$@" <"$work/$name.in" >"$work/$name.log" 2>&1 &
	echo $! >"$work/$name.pid"
	eval "guest_in_$name=$guest_in"
}

# linux_start NAME VERSION SMP MEMORY MODE [QEMU ARGUMENTS...]: Linux with the
# tests' own init in a mode (see tests/guest/linux); and with RAM that is QEMU's own.
linux_start() { linux_start_by guest_start "$@"; }
linux_start_private() { linux_start_by guest_start_private "$@"; }

linux_start_by() {
	local start=$1 name=$2 version=$3 smp=$4 memory=$5 mode=$6
	shift 6
	"$start" "$name" "$version" "$smp" "$memory" -kernel "$kernel" -initrd "$SCRY_INITRD" \
		-append "console=ttyS0 quiet panic=-1 scry.mode=$mode no_timer_check" "$@"
	guest_wait "$name" "guest: ready" $patience
}

# Until a command succeeds.
eventually() {
	local end=$((SECONDS + patience))
	until "$@" >"$work/eventually" 2>&1; do
		[ $SECONDS -lt $end ] || { cat "$work/eventually"; return 1; }
		sleep 0.05
	done
}

guest_pid() { cat "$work/$1.pid"; }
guest_alive() { kill -0 "$(guest_pid "$1")" 2>/dev/null; }
guest_lines() { wc -l <"$work/$1.log"; }

# guest_console NAME AFTER_LINE: what its console showed since, in whole lines.
guest_console() {
	local lines
	lines=$(guest_lines "$1")
	[ "$lines" -le "$2" ] || sed -n "$(($2 + 1)),${lines}p" "$work/$1.log"
}

# guest_wait NAME TEXT SECONDS [AFTER_LINE]: until the console shows it.
guest_wait() {
	local name=$1 text=$2 end=$((SECONDS + $3)) after=${4:-0}
	until guest_console "$name" "$after" | grep -F -- "$text" >/dev/null; do
		if [ $SECONDS -ge $end ] || ! guest_alive "$name"; then
			echo "guest $name did not say '$text'; it said last:" >&2
			tail -n 5 "$work/$name.log" >&2
			return 1
		fi
		sleep 0.05
	done
}

# Type a line on its console.
guest_say() {
	local fd="guest_in_$1"
	echo "$2" >&"${!fd}"
}

# guest_ask NAME COMMAND: type it, and print the line that answers.
guest_ask() {
	local name=$1 command=$2 after
	after=$(guest_lines "$name")
	guest_say "$name" "$command"
	guest_wait "$name" "guest: $command:" $patience "$after" || return 1
	guest_console "$name" "$after" | tr -d '\r' | sed -n "s/^.*guest: $command: //p" | tail -n 1
}

# guest_status NAME SECONDS: its QEMU ends within that time; sets `status` to
# its exit status.
guest_status() {
	local pid end=$((SECONDS + $2))
	pid=$(guest_pid "$1")
	status=0
	while guest_alive "$1"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
	wait "$pid" 2>/dev/null || status=$?
}

guest_stop() {
	local name=$1 pid fd="guest_in_$1"
	pid=$(guest_pid "$name")
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null || true
	rm -f "$work/$name.pid" "$SCRY_RUNTIME_DIR/$name.sock"	# it was killed
	eval "exec ${!fd}>&-"
}
