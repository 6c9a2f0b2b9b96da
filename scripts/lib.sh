# SPDX-License-Identifier: LGPL-2.1-or-later
# What the scripts share.  Sourced, not run.
# shellcheck shell=bash

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/scry
build=$top/build

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

# Run a command whose output matters only if it fails.
quietly() {
	local what=$1 log status=0
	shift
	say "$what ..."
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null || status=$?
	[ $status = 0 ] || tail -n 40 "$log" >&2
	rm -f "$log"
	[ $status = 0 ] || die "failed ($status): $*"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# The newest folder of the cache whose name begins so, or nothing.
cached() {
	find "$cache" -maxdepth 1 -name "$1*" -type d 2>/dev/null | sort -V | tail -n 1
}

# Build into $1 with the meson options that follow, if need be.
build_into() {
	local dir=$1
	shift
	if [ ! -f "$dir/build.ninja" ]; then
		quietly "configuring ${dir#"$top"/}" meson setup "$dir" "$top" "$@"
	fi
	quietly "building ${dir#"$top"/}" ninja -C "$dir"
}
