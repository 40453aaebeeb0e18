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
 * exec, and what bg_exec has in common with it.  Runs in: xbot-runner.
 * Input is hostile: the server may be anybody's.
 */

#include <stdlib.h>

#include "proto/jobs.h"
#include "runner/v1_req.h"
#include "runner/workdir.h"

enum { X_COMMAND, X_ARGS, X_SHELL, X_DIR, X_ENV, X_STDIN, X_TIMEOUT, X_USER,
    X_TASK, X_MAX };

static const char	*exec_workspace;
static bool		 exec_full_control;

void
v1_exec_init(const char *workspace, bool full_control)
{
	exec_workspace = workspace;
	exec_full_control = full_control;
}

void
exec_clear(struct exec_args *x)
{
	free(x->args);
	free(x->env);
}

struct slice
exec_dir(struct slice dir)
{
	if (exec_full_control || workdir_inside(exec_workspace, dir))
		return dir;
	return (struct slice){ "", 0 };
}

bool
exec_read(struct request *r, struct exec_args *x)
{
	struct v1_member	 m[X_MAX] = {
		[X_COMMAND] = { "command" }, [X_ARGS] = { "args" },
		[X_SHELL] = { "shell" }, [X_DIR] = { "dir" },
		[X_ENV] = { "env" }, [X_STDIN] = { "stdin" },
		[X_TIMEOUT] = { "timeout" }, [X_USER] = { "run_as_user" },
		[X_TASK] = { "task_id" },
	};
	enum v1_kind		 kind;

	if (!req_members(r, m, X_MAX) ||
	    !req_text(r, &m[X_COMMAND], &x->command) ||
	    !req_list(r, &m[X_ARGS], REQ_ARGS_MAX, &x->args, &x->nargs) ||
	    !req_text(r, &m[X_DIR], &x->dir) ||
	    !req_env(r, &m[X_ENV], &x->env, &x->nenv) ||
	    !req_int(r, &m[X_TIMEOUT], &x->timeout) ||
	    !req_text(r, &m[X_USER], &x->user) ||
	    !req_text(r, &m[X_TASK], &x->task))
		return false;
	kind = m[X_SHELL].value.kind;
	if (kind != V1_ABSENT && kind != V1_NULL &&
	    !v1_bool(&m[X_SHELL].value, &x->shell)) {
		req_refuse(r, XERR_EINVAL, "invalid %s request: shell is "
		    "neither true nor false", v1_type_name(r->msg.type));
		return false;
	}
	kind = m[X_STDIN].value.kind;
	if (kind != V1_ABSENT && kind != V1_NULL && kind != V1_STRING) {
		req_refuse(r, XERR_EINVAL, "invalid %s request: stdin is no "
		    "text", v1_type_name(r->msg.type));
		return false;
	}
	x->input = v1_string(&m[X_STDIN].value);
	return true;
}

void
exec_start(const struct exec_args *x, struct exec_job_start *start,
    struct slice shell[3])
{
	shell[0] = slice_str("/bin/sh");
	shell[1] = slice_str("-c");
	shell[2] = x->command;
	start->argv = x->shell ? (struct slices){ shell, 3 } :
	    (struct slices){ x->args, x->nargs };
	start->env = (struct slices){ x->env, x->nenv };
	start->dir = exec_dir(x->dir);
}

void
start_exec(struct request *r)
{
	struct exec_args	 x = { 0 };
	struct exec_job_start	 start = { .kind = JOB_EXEC };
	struct slice		 shell[3];
	struct op		*op;

	if (!exec_read(r, &x))
		goto out;
	if (!x.shell && x.nargs == 0) {
		req_refuse(r, XERR_EIO,
		    "exec error: non-shell exec requires args to be set");
		goto out;
	}
	if ((op = req_begin(r)) == NULL)
		goto out;
	if (x.timeout <= 0)
		x.timeout = V1_TIMEOUT_DEFAULT;
	if (x.timeout > V1_TIMEOUT_MAX)
		x.timeout = V1_TIMEOUT_MAX;
	start.job = op->job;
	start.run_as_user = x.user;
	start.timeout_ms = (uint32_t)x.timeout * 1000;
	exec_start(&x, &start, shell);
	if (req_start(op, EXEC_JOB_START, &start))
		req_feed(op, r, x.input, STREAM_STDIN, false);
out:
	exec_clear(&x);
}
