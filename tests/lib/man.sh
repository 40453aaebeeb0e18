#!/bin/sh
# Every man page is clean to mandoc's eye.  That a page refers to one which
# is not installed here is no fault.

cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
for page in man/*.[0-9]; do
	[ -e "$page" ] || continue
	if mandoc -Tlint "$page" | grep -v 'referenced manual not found'; then
		failed=$((failed + 1))
		echo "not ok $page"
	else
		passed=$((passed + 1))
		echo "ok $page"
	fi
done
[ $((passed + failed)) -gt 0 ] || failed=1
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
