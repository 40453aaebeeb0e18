/*
 * Copyright (c) 2026 The xbot-supervisor authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

/* closefrom: for C libraries without it (musl; glibc before 2.34). */

#include <sys/resource.h>
#include <sys/syscall.h>

#include <unistd.h>

#include "compat.h"

#ifndef HAVE_CLOSEFROM
/* Past this a loop of close() would take longer than anyone waits. */
#define CLOSEFROM_MAX	(1 << 20)

void
closefrom(int low)
{
	struct rlimit	 rl;
	int		 fd, max = CLOSEFROM_MAX;

	if (low < 0)
		low = 0;
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned int)low, ~0U, 0) == 0)
		return;
#endif
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < CLOSEFROM_MAX)
		max = (int)rl.rlim_cur;
	for (fd = low; fd < max; fd++)
		(void)close(fd);
}
#endif
