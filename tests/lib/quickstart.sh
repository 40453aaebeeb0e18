#!/bin/bash
# ./quickstart --once, as the reader of README runs it, on a free port.
# usage: quickstart.sh BUILDDIR

set -u

build=${1:?usage: quickstart.sh BUILDDIR}
top=$(cd "$(dirname "$0")/../.." && pwd)
passed=0 failed=0

say() {	# status, text
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $2"
	else
		failed=$((failed + 1))
		echo "not ok $2"
	fi
}

free_port() {
	/usr/bin/python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
"$top/quickstart" --once -b "$build" -p "$(free_port)"
say $? "quickstart --once"
mkdir "$dir/tmp"
if [ "$(id -u)" -eq 0 ]; then
	chown nobody "$dir/tmp"
	cp "$build"/xbot-* "$dir"
	TMPDIR=$dir/tmp setpriv --reuid nobody --regid "$(id -g nobody)" \
	    --clear-groups bash -s -- --once -b "$dir" -p "$(free_port)" \
	    <"$top/quickstart"
	say $? "quickstart --once as an ordinary user"
	left=$(find "$dir/tmp" -mindepth 1)
	[ -z "$left" ]
	say $? "leaves nothing behind $left"
fi
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
