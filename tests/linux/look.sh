# SPDX-License-Identifier: LGPL-2.1-or-later
# Memory, registers, code and time of a Linux guest.  Sourced by run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by guest.sh and run
# shellcheck disable=SC2317 # called through test_that

release() { basename "$kernel" | sed 's/vmlinuz-//'; }

banner_in_memory() {
	scry read --raw -o "$work/ram" "$1" 0x100000 200M &&
		grep -qaF "Linux version $(release) " "$work/ram"
	local found=$?
	rm -f "$work/ram"
	return $found
}

# Every range of System RAM that the guest knows lies in a region that scry shows.
map_matches_iomem() {
	local ranges
	ranges=$(guest_ask "$1" iomem) || return 1
	scry info --json "$1" >"$work/info" || return 1
	python3 - "$work/info" "$ranges" <<-'EOF'
	import json, sys
	regions = [(int(r["gpa"], 16), r["size"]) for r in json.load(open(sys.argv[1]))["memory_map"]]
	ranges = sys.argv[2].split()
	assert len(ranges) >= 2, ranges
	for text in ranges:
	    first, last = (int(x, 16) for x in text.split("-"))
	    if not any(gpa <= first and last < gpa + size for gpa, size in regions):
	        sys.exit(f"{text} is in no region")
	EOF
}

all_caps() {
	same "missing capabilities" "$(scry caps --json "$1" |
		pick '[name for name in d if not d[name]["supported"]]')" "[]"
}

# touch_page NAME COMMAND: sets va and gpa to where the guest's page is.
touch_page() {
	local answer
	answer=$(guest_ask "$1" "$2") || return 1
	read -r _ _ _ va _ gpa <<<"$answer"
	[ -n "$gpa" ] && [ "$gpa" != 0x0 ]
}

page_by_gpa() {
	touch_page "$1" touch &&
		same "16 bytes" "$(scry read --raw "$1" "$gpa" 16)" "scry guest page "
}

# The vCPU in whose address space the guest's page is: the program ran there.
vcpu_with() {
	local vcpu
	for vcpu in 0 1; do
		scry translate --vcpu $vcpu "$1" "$va" >/dev/null 2>&1 && echo $vcpu && return
	done
	echo "no vCPU translates $va"
	return 1
}

# The address space of the process to which touch_page has led.
cr3_with() {
	local vcpu
	vcpu=$(vcpu_with "$1") && scry regs --json --vcpu "$vcpu" "$1" cr3 | pick 'd["cr3"]'
}

page_by_gva() {
	local cr3
	touch_page "$1" touch && cr3=$(cr3_with "$1") || return 1
	same "16 bytes" "$(scry read -V --cr3 "$cr3" --raw "$1" "$va" 16)" "scry guest page " &&
		same "gpa" "$(scry translate --cr3 "$cr3" --json "$1" "$va" | pick 'd["gpa"]')" "$gpa"
}

write_is_seen() {
	local vcpu
	touch_page "$1" touch && scry write --string "written outside!" "$1" "$gpa" &&
		same "by gpa" "$(guest_ask "$1" peek)" "written outside!" &&
		vcpu=$(vcpu_with "$1") &&
		scry write -V --vcpu "$vcpu" --string "by virtual addr." "$1" "$va" &&
		same "by gva" "$(guest_ask "$1" peek)" "by virtual addr."
}

registers_are_sane() {
	scry regs --json --all "$1" >"$work/regs" || return 1
	python3 - "$work/regs" <<-'EOF'
	import json, sys
	d = json.load(open(sys.argv[1]))
	n = lambda name: int(d[name], 16)
	def must(what, good):
	    if not good:
	        sys.exit(f"{what}: {json.dumps(d)}")
	must("cs", int(d["cs"]["selector"], 16) in (0x10, 0x33))
	must("cr0: PE, WP, PG", n("cr0") & 0x80010001 == 0x80010001)
	must("cr3", n("cr3") and not n("cr3") & 0xf80)
	must("cr4: PAE", n("cr4") & 0x20)
	must("efer: SCE, LME, LMA, NXE", n("efer") & 0xd01 == 0xd01)
	must("rflags", n("rflags") & 2)
	must("idtr", int(d["idtr"]["limit"], 16) == 0xfff)
	EOF
}

lstar_is_the_entry() {
	local entry lstar
	entry=$(guest_ask "$1" "symbol entry_SYSCALL_64") || return 1
	lstar=$(scry regs --json "$1" --msr lstar | pick 'd["msr"]["0xc0000082"]') || return 1
	same "lstar" "$lstar" "0x$entry" &&
		same "lstar in the guest" "$(guest_ask "$1" "rdmsr 0xc0000082")" "$lstar"
}

code_changes_at_once() {
	local after
	touch_page "$1" code && same "before" "$(guest_ask "$1" call)" 42 || return 1
	# The guest calls it in a loop while it is changed: mov $7,%eax.
	after=$(guest_lines "$1")
	guest_say "$1" callwait
	guest_wait "$1" "guest: calling" $patience "$after" && sleep 0.3 || return 1
	scry write --hex "b8 07 00 00 00" "$1" "$gpa" &&
		guest_wait "$1" "guest: callwait: 7" $patience "$after" &&
		same "after" "$(guest_ask "$1" call)" 7
}

# While paused the guest does nothing, and no time passes for it.
pause_stops_it() {
	local before after lines began took
	# Before the guest looks at its clock: on a busy machine its answer comes late.
	began=${EPOCHREALTIME//[!0-9]/}
	before=$(guest_ask "$1" time) || return 1
	start_aside "$scry" pause --for 5 "$1"
	wait_aside "is paused" || return 1
	lines=$(guest_lines "$1")
	guest_say "$1" "cpuid 1"
	sleep 1.5
	same "lines while paused" "$(guest_lines "$1")" "$lines" || return 1
	end_aside none 0 && guest_wait "$1" "guest: cpuid 1:" $patience "$lines" || return 1
	after=$(guest_ask "$1" time) || return 1
	took=$((${EPOCHREALTIME//[!0-9]/} - began))
	python3 - "$before" "$after" "$took" <<-'EOF'
	import sys
	passed, took = float(sys.argv[2]) - float(sys.argv[1]), float(sys.argv[3]) / 1e6
	if not 0 <= passed < took - 4.5:
	    sys.exit(f"{passed:.3f} s passed in the guest while {took:.3f} s did outside, 5 of them paused")
	EOF
}

look_tests() {
	test_that "kernel banner found in memory" banner_in_memory "$1"
	test_that "memory map holds the guest's System RAM" map_matches_iomem "$1"
	test_that "every capability" all_caps "$1"
	test_that "a page read by gpa" page_by_gpa "$1"
	test_that "a page read by gva; translate agrees with pagemap" page_by_gva "$1"
	test_that "writes by gpa and gva seen in the guest" write_is_seen "$1"
	test_that "registers of a Linux" registers_are_sane "$1"
	test_that "lstar is the kernel's entry" lstar_is_the_entry "$1"
	test_that "code changed in a running loop takes effect" code_changes_at_once "$1"
	test_that "pause stops the guest and its clock" pause_stops_it "$1"
}
