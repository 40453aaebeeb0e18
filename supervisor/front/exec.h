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
 * One command of one request, as api_exec.c runs it and exec_out.c answers
 * it.  Runs in: front, control.
 */

#ifndef FRONT_EXEC_H
#define FRONT_EXEC_H

#include "base/utf8.h"
#include "supervisor/front/session.h"

#define EXEC_WINDOW	(256u * 1024)	/* credit ahead of what was taken */

/* stdout or stderr */
struct exec_stream {
	uint64_t		 got;		/* bytes that came */
	uint64_t		 upto;		/* credit given */
	struct buf		 kept;		/* JSON: at most output_max */
	struct utf8_stream	 utf8;
};

struct exec {
	struct session		*session;	/* NULL: over */
	struct id16		 job;
	bool			 ndjson, base64;
	bool			 truncated;
	struct exec_stream	 out[2];
	struct buf		 input;		/* stdin not yet sent */
	uint64_t		 in_off, in_upto;
	bool			 in_eof;	/* was said */
	uint64_t		 start_ms, end_ms;
	char			*command;	/* for the audit trail, cut */
	struct route_decision	 where;
	char			 runner[ID_USER_MAX + 1];
	/* how it ended */
	int			 exit_code;
	uint8_t			 how;		/* enum job_how */
	uint64_t		 duration_ms;
	/* how far the JSON answer is written */
	unsigned int		 phase;
};

/* exec_out.c */
/* Bytes of stream i (0: stdout); false: no memory, the request is answered. */
void	 exec_output(struct exec *, struct req *, int i, struct slice);
/* The command ended: the answer, or its last line. */
void	 exec_answer(struct exec *, struct req *);
/* It failed: the error, or the last line when lines were sent already. */
void	 exec_fail(struct exec *, struct req *, enum xerr, const char *);
/* The client took some of it. */
void	 exec_writable(struct exec *, struct req *);
/* Adds to what is kept and forgets all but the last bytes of it. */
bool	 exec_keep_last(struct exec_stream *, struct slice, size_t most);
/*
 * A long answer in JSON, as far as the client takes it: members (head may be
 * NULL), stdout, stderr, members.  phase is 0 at first, and ours.
 */
struct exec_pieces {
	void	(*head)(void *, struct jsonw *);
	void	(*tail)(void *, struct jsonw *);
};
void	 exec_pump(struct req *, const struct exec_pieces *, void *arg,
	    struct exec_stream out[2], bool base64, unsigned int *phase);
void	 exec_stream_clear(struct exec_stream *);
/* What an end means as an exit code: 128+N for signal N, -1 for none. */
int	 exec_code(uint8_t how, int32_t code);
/* The member "limit", when the sandbox's limit was that end. */
void	 exec_limit(struct jsonw *, uint8_t how);
/* Gives back what is kept. */
void	 exec_discard(struct exec *);
/* api_exec.c: more credit for stream i. */
void	 exec_credit(struct exec *, int i);
/* The command's own timeout and some; a client that reads slowly, and by that
 * holds up the end, gets more time. */
void	 exec_deadline(struct exec *);

#endif
