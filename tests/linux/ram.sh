# SPDX-License-Identifier: LGPL-2.1-or-later
# RAM that is not shared, and RAM above the PCI hole.  Sourced by run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by guest.sh and run
# shellcheck disable=SC2317 # called through test_that

private_is_told() {
	scry info --json "$1" >"$work/info" && scry caps --json "$1" >"$work/caps" || return 1
	same "access" "$(pick 'd["ram_access"]' <"$work/info")" process &&
		same "ram-map" "$(pick 'd["ram-map"]["supported"]' <"$work/caps")" False &&
		same "a reason" "$(pick 'len(d["ram-map"]["reason"]) > 20' <"$work/caps")" True
}

above_4g() {
	touch_page "$1" touch || return 1
	[ $((gpa)) -ge $((1 << 32)) ] || {
		echo "the guest's page is at $gpa"
		return 1
	}
	page_by_gpa "$1" && page_by_gva "$1" && write_is_seen "$1" || return 1
	scry info --json "$1" >"$work/info" || return 1
	same "RAM above 4 GiB" "$(pick \
		'any(int(r["gpa"], 16) == 1 << 32 and r["size"] == 2 << 30 for r in d["memory_map"])' \
		<"$work/info")" True &&
		same "highest gfn" "$(pick 'd["max_gfn"]' <"$work/info")" 0x17ffff
}

ram_tests() {
	if linux_start_private private "$1" 1 256M idle; then
		test_that "private RAM: caps and info say so" private_is_told private
		test_that "private RAM: kernel banner" banner_in_memory private
		test_that "private RAM: read" page_by_gva private
		test_that "private RAM: write" write_is_seen private
	else
		fail "$on: private RAM" "the guest did not get ready"
	fi
	guest_stop private
	if linux_start big "$1" 1 5G idle; then
		test_that "5 GiB: memory above the PCI hole" above_4g big
	else
		fail "$on: 5 GiB" "the guest did not get ready"
	fi
	guest_stop big
}
