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

/*
 * Linked into tests/xbot-docker-halting alone, never installed: a docker that
 * waits at a step of its journal until the test has killed what it wants.
 *
 * The file halt in the state directory's box says where: "STEP 0" before that
 * step is told to ledger, "STEP 1" once it is on the disk.  Then there is a
 * file halted, until halt is gone.
 */

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "workers/docker/commit.h"

#define TICK_NS	(5 * 1000 * 1000)

void
journal_halt(uint8_t what, enum journal_step step, bool stored)
{
	const struct timespec	 tick = { .tv_nsec = TICK_NS };
	unsigned int		 want;
	int			 want_stored, fd, n;
	char			 text[32] = "";

	if ((fd = openat(docker_box, "halt", O_RDONLY | O_CLOEXEC)) == -1)
		return;
	n = (int)read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0 || sscanf(text, "%u %d", &want, &want_stored) != 2 ||
	    want != step || want_stored != stored)
		return;
	fd = openat(docker_box, "halted", O_WRONLY | O_CREAT | O_CLOEXEC,
	    0600);
	if (fd == -1)
		fatal("halted");
	close(fd);
	while (faccessat(docker_box, "halt", F_OK, 0) == 0)
		nanosleep(&tick, NULL);
	unlinkat(docker_box, "halted", 0);
}
