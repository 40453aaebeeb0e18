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
 * A request of protocol v1 in hand: its members, checked, and the refusals when
 * they are wrong.  Runs in: xbot-runner.  Input is hostile.
 */

#ifndef RUNNER_V1_REQ_H
#define RUNNER_V1_REQ_H

#include "base/v1.h"
#include "proto/buf.h"
#include "proto/exec_msg.h"
#include "runner/op.h"

#define REQ_ARGS_MAX	4096		/* as job_start's argv */
#define REQ_ENV_MAX	1024		/* as job_start's env */

struct request {
	struct v1_message	 msg;
	struct buf		*text;
	struct slice		 type;		/* for the log */
};

/* Those that return false, or NULL, have refused the request. */
bool	 req_members(struct request *, struct v1_member *, size_t);
/* UTF-8 that can become a C string; "" when it is not there. */
bool	 req_text(struct request *, struct v1_member *, struct slice *);
/* 0 when it is not there. */
bool	 req_int(struct request *, struct v1_member *, int64_t *);
/* The caller frees *out, also on failure. */
bool	 req_list(struct request *, struct v1_member *, size_t max,
	    struct slice **out, uint32_t *n);
bool	 req_env(struct request *, struct v1_member *, struct slice **out,
	    uint32_t *n);
void	 req_refuse(struct request *, enum xerr, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
struct op *req_begin(struct request *);
/* Sends the operation's first message; false: refused, the op is gone. */
bool	 req_start(struct op *, uint16_t type, const void *body);
/*
 * The op's input, a view of the message, whose memory becomes the op's.  Sends
 * what the executor has room for; the rest follows its credit.
 */
void	 req_feed(struct op *, struct request *, struct slice, uint8_t stream,
	    bool b64);

/* -- v1_exec.c: what exec and bg_exec have in common */
struct exec_args {
	struct slice	 command, dir, user, input, task;
	struct slice	*args, *env;
	uint32_t	 nargs, nenv;
	int64_t		 timeout;
	bool		 shell;
};

/* Lends workspace for life. */
void	 v1_exec_init(const char *workspace, bool full_control);
/* Views of the request; the caller clears it, also on failure. */
bool	 exec_read(struct request *, struct exec_args *);
void	 exec_clear(struct exec_args *);
/* Fills in all but job and kind; shell is room that start.argv may use. */
void	 exec_start(const struct exec_args *, struct exec_job_start *,
	    struct slice shell[3]);
/* A directory outside means the workspace: "". */
struct slice exec_dir(struct slice);
void	 start_exec(struct request *);

#endif
