#!/bin/sh
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
#
# embed.sh PROGRAM > executor_blob.c: the executor inside xbot-runner.
# The size and sum make the text change with the program, so it is recompiled.
set -eu
cat <<EOF
/* Made by executor/embed.sh: $(cksum < "$1") */
#include <stddef.h>
__asm__(
	"	.section .rodata\n"
	"	.global executor_image, executor_image_len\n"
	"	.balign 16\n"
	"executor_image:\n"
	"	.incbin \"$(realpath "$1")\"\n"
	"executor_image_end:\n"
	"	.balign 8\n"
	"executor_image_len:\n"
	"	.quad executor_image_end - executor_image\n"
	"	.previous\n");
EOF
