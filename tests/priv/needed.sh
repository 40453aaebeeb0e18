#!/bin/sh
# What each binary links is what its row of the policy table needs, and no
# more: readelf's NEEDED list equals needed/NAME.golden (sorted, one a line).
# The executor is static and has no interpreter: it runs where there is no
# libc.  usage: needed.sh BUILDDIR; UPDATE=1 writes the golden lists instead,
# to be looked at before they are committed.  A sanitizer build is skipped.

set -u

build=${1:?usage: needed.sh BUILDDIR}
here=$(cd "$(dirname "$0")" && pwd)
n=0 passed=0 failed=0 skipped=0

ok() {
	n=$((n + 1)) passed=$((passed + 1))
	echo "ok $n $1"
}

not_ok() {
	n=$((n + 1)) failed=$((failed + 1))
	echo "not ok $n $1"
}

skip() {
	n=$((n + 1)) skipped=$((skipped + 1))
	echo "ok $n # skip $1"
}

needed() {
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | LC_ALL=C sort
}

check_list() {	# name, golden file
	if [ ! -x "$build/$1" ]; then
		not_ok "$1: is built"
		return
	fi
	got=$(needed "$build/$1")
	case $got in
	*libasan*|*libubsan*|*libtsan*)
		skip "$1: a sanitizer build links more"
		return ;;
	esac
	if [ "${UPDATE:-0}" = 1 ]; then
		printf '%s\n' "$got" >"$2"
	fi
	if printf '%s\n' "$got" | diff -u "$2" - | sed 's/^/# /' | grep .; then
		not_ok "$1: links what its row needs"
	else
		ok "$1: links what its row needs"
	fi
}

check_static() {
	if [ ! -x "$build/$1" ]; then
		not_ok "$1: is built"
		return
	fi
	if readelf -lW "$build/$1" | grep -q INTERP; then
		not_ok "$1: has no interpreter"
	else
		ok "$1: has no interpreter"
	fi
	if [ -n "$(needed "$build/$1")" ]; then
		not_ok "$1: needs no library"
	else
		ok "$1: needs no library"
	fi
}

# relro, immediate binding, no executable stack, position independent.
check_hard() {
	[ -x "$build/$1" ] || return
	case $(needed "$build/$1") in
	*libasan*|*libubsan*|*libtsan*) return ;;
	esac
	if readelf -hW "$build/$1" | grep -q 'Type: *DYN' &&
	    readelf -lW "$build/$1" | grep -q GNU_RELRO &&
	    readelf -dW "$build/$1" | grep -q 'BIND_NOW\|FLAGS.*NOW' &&
	    ! readelf -lW "$build/$1" | grep 'GNU_STACK' | grep -q 'RWE'; then
		ok "$1: is hardened"
	else
		not_ok "$1: is hardened"
	fi
}

if [ "${UPDATE:-0}" = 1 ]; then
	for name in xbot-supervisor xbot-front xbot-ledger xbot-session \
	    xbot-docker xbot-reaper \
	    xbot-remote xbot-llm xbot-runner xbot-admin xbot-skill; do
		[ -x "$build/$name" ] && : >"$here/needed/$name.golden"
	done
fi
for golden in "$here"/needed/*.golden; do
	[ -e "$golden" ] || continue
	name=$(basename "$golden" .golden)
	check_list "$name" "$golden"
	check_hard "$name"
done
check_static xbot-executor

echo "1..$n"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
