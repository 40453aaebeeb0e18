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
 * What the container's limits did to a job.  Runs in: executor, inside a
 * container; elsewhere the limits are not ours to tell of.  The kernel counts
 * the processes that it killed for want of memory, for the container as a
 * whole: who was killed while the count rose is taken to be one of them.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/executor.h"

#define SHELL_KILLED	(128 + SIGKILL)	/* of a shell's last command */

static int	 counter = -1;

void
limit_init(void)
{
	static const char *const	 files[] = {
		"/sys/fs/cgroup/memory.events",			/* v2 */
		"/sys/fs/cgroup/memory/memory.oom_control"	/* v1 */
	};
	size_t				 i;

	for (i = 0; i < NELEM(files) && counter == -1; i++)
		counter = open(files[i], O_RDONLY | O_CLOEXEC);
}

uint64_t
limit_kills(void)
{
	static const char	 word[] = "\noom_kill ";
	char			 b[512];
	const char		*p;
	ssize_t			 n;

	if (counter == -1 ||
	    (n = pread(counter, b, sizeof(b) - 1, 0)) <= 0)
		return 0;
	b[n] = '\0';
	p = strstr(b, word);
	return p != NULL ? strtoull(p + sizeof(word) - 1, NULL, 10) : 0;
}

void
limit_judge(struct exec_job_exit *end, uint64_t before)
{
	const bool killed = end->how == JOB_SIGNALLED ?
	    end->code == SIGKILL :
	    end->how == JOB_EXITED && end->code == SHELL_KILLED;

	if (!killed || limit_kills() <= before)
		return;
	end->how = JOB_LIMIT;
	end->code = SIGKILL;
}

void
limit_fail(struct op *op, int error, const char *what)
{
	if (opt.channel != NULL && error == EAGAIN)
		op_refuse(op, XERR_EBUSY, "pids: the sandbox may have no "
		    "more processes");
	else
		op_fail(op, error, what);
}
