#!/bin/sh
# The Debian packages that xbot-supervisor needs, by purpose: the one list.
#
# usage: deps.sh [-n] build|run|skill|test ...
# What is missing is installed by apt-get when root; others, and -n, are
# shown the command (exit status 1).  Nothing missing: nothing is done.

set -eu

build='
	gcc libc6-dev binutils meson ninja-build pkg-config bison
	python3 musl-tools
	libevent-dev libmsgpack-dev libyajl-dev liblmdb-dev libssl-dev
	libcurl4-openssl-dev libpython3-dev libseccomp-dev libwslay-dev libhttp-parser-dev
'
# passwd: useradd, for users.sh
run='
	bash coreutils curl passwd python3
'
# the image of the skill runner; requests: what skills import most
skill='
	ca-certificates passwd python3 python3-pip python3-requests python3-venv
	libevent-2.1-7 libhttp-parser2.9 libmsgpackc2 libpython3.11 libseccomp2
	libssl3 libwslay1 libyajl2
'
# nodejs, npm: clients of streams and of language models; clang: the fuzzers;
# util-linux: setpriv, unshare; docker.io: an Engine of the tests' own,
# busybox-static: its images
tests='
	bash ca-certificates curl nodejs npm openssl procps python3 python3-msgpack
	python3-pip python3-requests python3-venv python3-websockets tmux
	util-linux vim
	mandoc shellcheck clang clang-format libclang-rt-14-dev
	docker.io docker-registry busybox-static
'

dry=no
missing=

usage() {
	echo "usage: deps.sh [-n] build|run|skill|test ..." >&2
	exit 2
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = \
	    installed ]
}

collect() {	# packages
	for package; do
		installed "$package" && continue
		# Node comes from elsewhere too, and Debian's npm bites that.
		case $package in
		nodejs|npm)
			command -v "${package%js}" >/dev/null && continue ;;
		esac
		case " $missing " in
		*" $package "*) ;;
		*) missing="$missing $package" ;;
		esac
	done
}

install() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq >&2
	# shellcheck disable=SC2086 # a list of words
	apt-get install -y -qq --no-install-recommends $missing >&2
}

[ $# -gt 0 ] || usage
for word; do
	# shellcheck disable=SC2086 # lists of words
	case $word in
	-n)	dry=yes ;;
	build)	collect $build ;;
	run)	collect $run ;;
	skill)	collect $skill ;;
	test)	collect $tests ;;
	*)	usage ;;
	esac
done

missing=${missing# }
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "deps.sh: this is no Debian; needed are: $missing" >&2
	exit 1
fi
if [ "$dry" = yes ] || [ "$(id -u)" -ne 0 ]; then
	echo "some packages are missing; as root:" >&2
	echo "	apt-get install --no-install-recommends $missing" >&2
	exit 1
fi
echo "installing: $missing" >&2
install
