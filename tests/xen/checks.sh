# SPDX-License-Identifier: LGPL-2.1-or-later
# Verdicts of what runs in dom0.  Sourced there.
# shellcheck shell=dash

# check NAME COMMAND...: what it says is shown if it fails.
check() {
	name=$1
	shift
	if said=$("$@" 2>&1); then
		echo "ok $name"
	else
		echo "FAIL $name: $(echo "$said" | tail -n 7 | tr '\n' ' ')"
	fi
}
