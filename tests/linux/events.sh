# SPDX-License-Identifier: LGPL-2.1-or-later
# Events of a Linux guest, counted against what it did.  Sourced by run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by guest.sh and run
# shellcheck disable=SC2317 # called through test_that

# A CPUID leaf by which a trace shows that it is armed, and that all is in it.
marker=0x4fffffff

# trace_begin NAME EVENT...: it is armed on return.
trace_begin() {
	local name=$1
	start_aside "$scry" trace --json "$@" "cpuid:$marker"
	for _ in {1..50}; do
		guest_ask "$name" "cpuid $marker" >/dev/null || return 1
		sleep 0.15
		grep -q "\"leaf\": \"$marker\"" "$work/aside" && return
	done
	echo "the trace shows nothing: $(cat "$work/aside.err")"
	return 1
}

# All events until now are in $work/aside on return.
trace_end() {
	guest_ask "$1" "cpuid $marker" >/dev/null && end_aside INT 0
}

# events_are EXPRESSION...: each is true of the trace; e is a list of its events.
events_are() {
	python3 - "$work/aside" "$@" <<-'EOF'
	import json, sys
	e = [json.loads(line) for line in open(sys.argv[1])]
	summary = e.pop()["summary"]
	count = lambda name, **of: sum(x["event"] == name and all(x.get(k) == v for k, v in of.items())
	                               for x in e)
	cr3 = lambda vcpu: [x for x in e if x["event"] == "cr3" and x["vcpu"] == vcpu]
	broken = [(a["new"], b["old"]) for vcpu in (0, 1) for a, b in zip(cr3(vcpu), cr3(vcpu)[1:])
	          if a["new"] != b["old"]]
	gaps = [(a["sequence"], b["sequence"]) for vcpu in (0, 1)
	        for s in [[x for x in e if x["vcpu"] == vcpu]] for a, b in zip(s, s[1:])
	        if b["sequence"] != a["sequence"] + 1]
	if gaps or summary["events"] != len(e):
	    sys.exit(f"gaps {gaps[:3]}, {summary['events']} counted, {len(e)} shown")
	for expression in sys.argv[2:]:
	    if not eval(expression):
	        what = expression.split(" == ")[0].split(" >= ")[0]
	        sys.exit(f"not so: {expression} ({eval(what)!r:.200})")
	EOF
}

counts_match() {
	local i
	trace_begin "$1" cpuid:0x40000123 int3 rdmsr:0x176 wrmsr:0x176 || return 1
	guest_ask "$1" "cpuids 2000" && guest_ask "$1" "int3s 500" || return 1
	for i in {1..10}; do
		guest_ask "$1" "wrmsr 0x176 $i" && guest_ask "$1" "rdmsr 0x176" || return 1
	done
	trace_end "$1" && events_are 'count("cpuid", leaf="0x40000123", subleaf="0x7") == 2000' \
		'count("int3") == 500' 'count("int3", cpl=3) == 500' \
		'count("wrmsr") == 10' 'count("rdmsr") == 10' \
		'[x["new"] for x in e if x["event"] == "wrmsr"] == [hex(i) for i in range(1, 11)]' \
		'[x["old"] for x in e if x["event"] == "rdmsr"] == [hex(i) for i in range(1, 11)]'
}

# Two processes take turns 500 times: each turn is two changes of CR3, and each
# value written is the next one's old value.
cr3_is_complete() {
	trace_begin "$1" cr3 && guest_ask "$1" "switches 500" && trace_end "$1" &&
		events_are 'len(cr3(0)) >= 1000' 'broken == []'
}

# A function called 1000 times: each call is a hit, and it still does what it did.
breakpoint_hit() {
	local cr3
	touch_page "$1" code && cr3=$(cr3_with "$1") &&
		trace_begin "$1" "break:$va@$cr3" --regs || return 1
	same "1000 calls" "$(guest_ask "$1" call)" 42 && trace_end "$1" &&
		events_are 'count("break") == 1000' "count('break', rip='$va', cpl=3) == 1000" \
			'all("rsp" in x["regs"] for x in e if x["event"] == "break")'
}

# A process's byte is read, and the kernel's ticks are written.
watchpoint_hit() {
	local cr3
	touch_page "$1" touch && cr3=$(cr3_with "$1") && trace_begin "$1" "watch:$va@$cr3/1:rw" || return 1
	same "page" "$(guest_ask "$1" peek)" "scry guest page " && trace_end "$1" &&
		events_are 'count("watch") >= 1' \
			"count('watch', gva='$va', size=1, access='rw', number=1) == count('watch')" &&
		"$scry" trace --json -n 3 "$1" watch:jiffies_64 >"$work/ticks" &&
		same "ticks" "$(grep -c '"event": "watch".*"access": "w".*"size": 8' "$work/ticks")" 3
}

# The first page that is written, read where it lies.
memory_read() {
	touch_page "$1" touch && trace_begin "$1" "mem:$gpa-$gpa:r" "mem:$gpa:w" || return 1
	same "page" "$(guest_ask "$1" peek)" "scry guest page " && trace_end "$1" &&
		events_are 'count("mem") >= 1' "count('mem', gpa='$gpa', access='r') >= 1" \
			"{x['gva'] for x in e if x['event'] == 'mem' and not x['walk']} - {'$va'} == set()"
}

# The markers are counted, too: only those that were made before the trace was armed are not.
statistics() {
	trace_begin "$1" cpuid:0x40000123 --stat || return 1
	guest_ask "$1" "cpuids 2000" && end_aside INT 0 && python3 - "$work/aside" <<-'EOF'
		import json, sys
		*events, last = [json.loads(line) for line in open(sys.argv[1])]
		rows = last["summary"]["stat"]
		wait = rows[0]["wait_ns"]
		assert sum(e["leaf"] == "0x40000123" for e in events) == 2000, len(events)
		assert sum(r["count"] for r in rows) == len(events), rows
		assert 0 < wait["p50"] <= wait["p90"] <= wait["p99"] <= wait["longest"], rows
	EOF
}

vendor_changes() {
	local own
	own=$(guest_ask "$1" "cpuid 0") || return 1
	start_aside "$steer" "$1" vendor ScryWasHere!
	wait_aside ready || return 1
	# "ScryWasHere!" as EBX, EDX, ECX; shown as EAX, EBX, ECX, EDX.
	same "while changed" "$(guest_ask "$1" "cpuid 0")" "${own%% *} 79726353 21657265 48736157" &&
		end_aside TERM 0 && same "afterwards" "$(guest_ask "$1" "cpuid 0")" "$own"
}

write_denied() {
	local own
	guest_ask "$1" "wrmsr 0x176 0x1234" >/dev/null && own=$(guest_ask "$1" "rdmsr 0x176") || return 1
	start_aside "$steer" "$1" deny 0x176
	wait_aside ready || return 1
	same "while denied" "$(guest_ask "$1" "wrmsr 0x176 5")" "failed: Input/output error" &&
		same "value" "$(guest_ask "$1" "rdmsr 0x176")" "$own" &&
		end_aside TERM 0 && same "afterwards" "$(guest_ask "$1" "wrmsr 0x176 5")" ok
}

# A held vCPU waits, and goes on when its client is killed.
killed_client() {
	local lines
	start_aside "$steer" "$1" hold 0x40000001
	wait_aside ready || return 1
	lines=$(guest_lines "$1")
	guest_say "$1" "cpuid 0x40000001"
	wait_aside held && sleep 0.5 || return 1
	same "lines while held" "$(guest_lines "$1")" "$lines" && end_aside KILL 137 &&
		guest_wait "$1" "guest: cpuid 0x40000001:" $patience "$lines" && scry regs "$1" rip >/dev/null
}

# A process that never touches its pages gets them for page faults from outside.
pages_in() {
	local place
	place=$(guest_ask "$1" fresh) && same "before" "$(guest_ask "$1" resident)" 0 || return 1
	place=${place#* va }
	start_aside "$steer" "$1" pagein "${place%% *}"
	wait_aside ready && same "CPUID" "$(guest_ask "$1" "cpuids 1")" "done" && wait_aside taken &&
		end_aside TERM 0 && same "after" "$(guest_ask "$1" resident)" 2
}

# What breakpoints on the kernel's instructions tell is what QEMU itself tells.
sites_tell() {
	start_aside "$SCRY_BUILD/tests/linux/sites" "$1"
	wait_aside ready || return 1
	guest_ask "$1" "switches 500" && end_aside TERM 0 && cat "$work/aside" &&
		grep -q ", [0-9]\{4,\} cr" "$work/aside"
}

event_tests() {
	test_that "CPUID, MSR and int3 events are as many as the guest made" counts_match "$1"
	test_that "no CR3 write is missed or doubled" cr3_is_complete "$1"
	test_that "breakpoint in a process is hit at each call" breakpoint_hit "$1"
	test_that "watchpoints in a process and in the kernel are hit" watchpoint_hit "$1"
	test_that "a process's page is read under a trap" memory_read "$1"
	test_that "statistics of a trace" statistics "$1"
	test_that "sites in the kernel's text tell all that is executed there" sites_tell "$1"
	test_that "CPUID answer changed" vendor_changes "$1"
	test_that "MSR write denied" write_denied "$1"
	test_that "injected page faults make a process page in" pages_in "$1"
	test_that "client killed while it holds an event" killed_client "$1"
}
