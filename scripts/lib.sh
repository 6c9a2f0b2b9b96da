# SPDX-License-Identifier: LGPL-2.1-or-later
# What the scripts share.  Sourced, not run.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used there

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

# Until killed, or the script has ended: what runs, for how long, and its latest words.
show_progress() {
	local what=$1 log=$2 start=$SECONDS columns last
	columns=$(tput cols 2>/dev/null || echo 80)
	while sleep 0.3 && kill -0 $$ 2>/dev/null; do
		last=$(tail -n 1 "$log" 2>/dev/null | tr -cd '[:print:]')
		last="$what ... $((SECONDS - start)) s  $last"
		printf '\r\033[K%s' "${last:0:columns-1}" >&2
	done
}

# quietly WHAT COMMAND...: its output matters only if it fails.
quietly() {
	local what=$1 log watch='' start=$SECONDS status=0
	shift
	log=$(mktemp)
	if [ -t 2 ]; then
		show_progress "$what" "$log" &
		watch=$!
	else
		say "$what ..."
	fi
	"$@" >"$log" 2>&1 </dev/null || status=$?
	if [ -n "$watch" ]; then
		kill "$watch"
		wait "$watch" 2>/dev/null || true
		printf '\r\033[K%s: %d s\n' "$what" $((SECONDS - start)) >&2
	fi
	[ $status = 0 ] || tail -n 40 "$log" >&2
	rm -f "$log"
	[ $status = 0 ] || die "failed ($status): $*"
}

# The newest folder of the cache whose name begins so, or nothing.
cached() {
	find "$cache" -maxdepth 1 -name "$1*" -type d 2>/dev/null | sort -V | tail -n 1
}

# Build into $1, configured with the meson options that follow.
build_into() {
	local dir=$1
	shift
	if [ ! -f "$dir/build.ninja" ]; then
		quietly "configuring ${dir#"$top"/}" meson setup "$dir" "$top" "$@"
	fi
	ninja -C "$dir" -n 2>/dev/null | grep -q 'no work to do' ||
		quietly "building ${dir#"$top"/}" ninja -C "$dir"
}
