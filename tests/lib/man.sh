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
# Each message of the table stands in xbot-protocol(7), fields in order.
page=man/xbot-protocol.7
messages=$(awk '/^message / { if (m) print m, f; m = $2 " " $3; f = "" }
    /^\t[a-z]/ { $1 = $1; f = f (f == "" ? "" : ", ") $0 }
    END { print m, f }' proto/exec.def)
while read -r name id fields; do
	if grep -q "^\.It Sy $name No $id, " "$page" &&
	    sed -n "/^\.It Sy $name No /,/^\.Ed/p" "$page" |
	    tr '\n' ' ' | grep -q -F "$fields"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok $page: $name $id $fields"
	fi
done <<END
$messages
END
[ $((passed + failed)) -gt 0 ] || failed=1
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
