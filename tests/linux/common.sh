# SPDX-License-Identifier: LGPL-2.1-or-later
# What the parts of the suite share.  Sourced by run.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # set by guest.sh and run; used there

aside=
steer=$SCRY_ASAN_BUILD/tests/linux/steer

scry() { timeout $patience "$scry" "$@"; }

# The value of a Python expression over the JSON on standard input, as d.
pick() {
	python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

# test_that NAME COMMAND...: as check, with where it runs before the name; ends what
# it left running aside.
test_that() {
	local name=$1
	shift
	check "$on: $name" "$@"
	[ ! -f "$work/aside.pid" ] || end_aside KILL 137 >/dev/null
}

# same WHAT A B: are they equal?
same() {
	[ "$2" = "$3" ] || {
		echo "$1: '$2' is not '$3'"
		return 1
	}
}

# refused STATUS WORDS COMMAND...: it fails so, with one sentence that has those words.
refused() {
	local status=$1 words=$2 got=0
	shift 2
	timeout $patience "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
	same "exit status" "$got" "$status" || { cat "$work/err"; return 1; }
	same "lines of the message" "$(wc -l <"$work/err")" 1 || { cat "$work/err"; return 1; }
	grep -qE "^(scry|steer): .*$words" "$work/err" || {
		echo "this does not say '$words': $(cat "$work/err")"
		return 1
	}
}

# start_aside COMMAND...: in the background, its output in $work/aside; its PID is
# then $aside.
start_aside() {
	: >"$work/aside"	# now, for wait_aside must not see what the one before wrote
	"$@" >"$work/aside" 2>"$work/aside.err" </dev/null &
	aside=$!
	echo $aside >"$work/aside.pid"
}

# Until the output of what runs aside has a line with these words.
wait_aside() {
	local end=$((SECONDS + patience))
	until grep -q -- "$1" "$work/aside"; do
		if [ $SECONDS -ge $end ] || ! kill -0 "$aside" 2>/dev/null; then
			echo "no '$1' from what runs aside: $(tail -n 3 "$work/aside" "$work/aside.err")"
			return 1
		fi
		sleep 0.05
	done
}

# end_aside SIGNAL STATUS: end it so, and it must end so.
end_aside() {
	local end=$((SECONDS + patience)) status=0
	[ "$1" = none ] || kill -"$1" "$aside" 2>/dev/null
	while kill -0 "$aside" 2>/dev/null && [ $SECONDS -lt $end ]; do
		sleep 0.05
	done
	kill -KILL "$aside" 2>/dev/null && echo "it hangs"
	wait "$aside" 2>/dev/null || status=$?
	rm -f "$work/aside.pid"
	same "exit status aside" "$status" "$2" || { cat "$work/aside.err"; return 1; }
}
