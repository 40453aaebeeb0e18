#!/bin/sh
# Shell scripts pass shellcheck; Python programs compile.

cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0

try() {	# file, command
	name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name"
	fi
}

for file in quickstart .ci/run tests/run tests/fuzz/run etc/*.sh tests/*/*.sh; do
	try "$file" shellcheck "$file"
done
for file in proto/*.py tests/*/*.py; do
	try "$file" /usr/bin/python3 -c \
	    'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$file"
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
