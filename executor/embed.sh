#!/bin/sh
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
#
# embed.sh PROGRAM [STATIC] > executor_blob.c: the executor inside xbot-runner.
# A sanitizer build runs PROGRAM here and puts STATIC into containers.
# The size and sum make the text change with the program, so it is recompiled.
set -eu

image() {	# symbol, program
	cat <<EOF
	"	.balign 16\n"
	"$1:\n"
	"	.incbin \"$(realpath "$2")\"\n"
	"$1_end:\n"
	"	.balign 8\n"
	"$1_len:\n"
	"	.quad $1_end - $1\n"
EOF
}

cat <<EOF
/* Made by executor/embed.sh: $(cat "$@" | cksum) */
#include <stddef.h>
__asm__(
	"	.section .rodata\n"
	"	.global executor_image, executor_image_len\n"
	"	.global executor_static, executor_static_len\n"
EOF
image executor_image "$1"
if [ $# -gt 1 ]; then
	image executor_static "$2"
else
	cat <<EOF
	"	.set executor_static, executor_image\n"
	"	.set executor_static_len, executor_image_len\n"
EOF
fi
printf '\t"\t.previous\\n");\n'
