#!/bin/sh
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
#
# build-static.sh OUT VERSION SOURCE_ROOT PRIVATE_DIR GENERATED_HEADER SOURCE...
#
# xbot-executor as one static file that runs in any container: musl and
# msgpack-c, nothing else.  Debian's libmsgpackc.a was built for glibc; what
# we use of it (pack, unpack, zone) links with musl.  Never -I/usr/include:
# that would bring glibc's headers; a private directory holds msgpack's alone.
# -static-pie with musl silently makes a dynamic program, hence -static.
set -eu

out=$1 version=$2 root=$3 private=$4 generated=$(dirname "$5")
shift 5
mkdir -p "$private"
ln -sfn /usr/include/msgpack "$private/msgpack"
msgpack=$(gcc -print-file-name=libmsgpackc.a)
musl-gcc -std=gnu11 -O2 -g0 -static -D_GNU_SOURCE \
	"-DXBOT_VERSION=\"$version\"" \
	-Wall -Wextra -Wno-unused-parameter -Wshadow -Wmissing-prototypes \
	-Wswitch-enum -Wformat=2 -Wvla \
	-ffunction-sections -fdata-sections -fno-common \
	-fstack-protector-strong -fno-asynchronous-unwind-tables \
	-I"$root" -I"$generated" -isystem "$private" \
	-Wl,--gc-sections -Wl,-z,noexecstack -Wl,-s \
	-o "$out" "$@" "$msgpack"
# A program that asks for an interpreter would not start in a container.
if readelf -lW "$out" | grep -q INTERP || readelf -dW "$out" | grep -q NEEDED
then
	echo "$out: not static" >&2
	rm -f "$out"
	exit 1
fi
