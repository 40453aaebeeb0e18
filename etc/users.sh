#!/bin/sh
# Makes the system users of xbot.sysusers and the empty directory that is
# their root.  Run as root; may be run again.  quickstart, tests and packages
# use it.  An argument names another sysusers file.

set -eu

conf=${1:-$(dirname "$0")/xbot.sysusers}
empty=/var/empty

die() {
	echo "users.sh: $*" >&2
	exit 1
}

have() {
	getent "$1" "$2" >/dev/null 2>&1
}

group_add() {
	have group "$1" && return 0
	if command -v groupadd >/dev/null; then
		groupadd --system "$1"
	else
		addgroup -S "$1"
	fi
}

user_add() {	# name, comment
	have passwd "$1" && return 0
	group_add "$1"
	if command -v useradd >/dev/null; then
		useradd --system --no-create-home --home-dir "$empty" \
		    --shell /usr/sbin/nologin --gid "$1" --comment "$2" "$1"
	else
		adduser -S -D -H -h "$empty" -s /sbin/nologin -G "$1" \
		    -g "$2" "$1"
	fi
}

# u NAME ID "COMMENT" HOME SHELL, and g NAME ID; nothing else is in the file.
apply() {
	while read -r kind name _id rest; do
		case $kind in
		g)	group_add "$name" ;;
		u)	comment=${rest#\"}
			user_add "$name" "${comment%%\"*}" ;;
		esac
	done <"$conf"
}

# Nobody of ours may be root or share an account: one uid, one process.
check() {
	awk '$1 == "u" { print $2 }' "$conf" | while read -r name; do
		uid=$(id -u "$name") || die "user $name was not made"
		[ "$uid" -ne 0 ] || die "user $name is root"
	done
	twice=$(awk '$1 == "u" { print $2 }' "$conf" | xargs -n 1 id -u |
	    sort | uniq -d)
	[ -z "$twice" ] || die "uid $twice has two of our users"
}

empty_dir() {
	[ ! -L "$empty" ] || die "$empty is a symbolic link"
	[ -d "$empty" ] || mkdir "$empty"
	[ -z "$(ls -A "$empty")" ] || die "$empty is not empty"
	chown 0:0 "$empty"
	chmod 0755 "$empty"
}

[ -r "$conf" ] || die "$conf: cannot be read"
[ "$(id -u)" -eq 0 ] || die "must be run as root"

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers "$(cd "$(dirname "$conf")" && pwd)/$(basename "$conf")"
fi
apply
empty_dir
check
