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
 * One call of a language model as its two files see it.
 * Runs in: front, control.
 */

#ifndef FRONT_LLM_CALL_H
#define FRONT_LLM_CALL_H

#include <sys/queue.h>

#include "supervisor/front/llm.h"
#include "supervisor/front/session.h"

#define LLM_WINDOW	(64u * 1024)	/* of the answer; 200 at once fit */

/* What becomes of the provider's bytes. */
enum llm_mode {
	LLM_PASS,		/* as they are, as they come */
	LLM_EVENTS,		/* event by event, translated or looked at */
	LLM_COLLECT		/* the whole of it is wanted first */
};

struct llm_call {
	TAILQ_ENTRY(llm_call)	 entry;
	uint64_t		 req;
	struct session		*session;	/* NULL: over */
	struct id16		 job;
	enum llm_dialect	 client, provider;
	enum llm_what		 what;
	struct llm_asked	 asked;		/* its model is not kept */
	bool			 whole;		/* v1: never streams */
	bool			 by_runner;
	bool			 counted;	/* against the user's limit */
	char			 runner[ID_USER_MAX + 1];
	char			 id[65];	/* of the request */
	char			 model[257];
	uint64_t		 start_ms;
	/* the request's body on its way */
	struct buf		 body;
	size_t			 held;		/* of the bodies' budget */
	uint64_t		 off, upto;
	bool			 sent;
	/* the answer */
	bool			 headed;
	int			 status;	/* 0: none yet */
	char			 ctype[129];
	enum llm_mode		 mode;
	uint64_t		 got, granted;
	struct buf		 kept;		/* LLM_COLLECT, or for its usage */
	struct sse		 sse;
	struct llm_stream	*stream;
	struct llm_usage	 usage;
	enum xerr		 error;		/* how it failed */
};

/* api_llm.c */
/* More of the answer may come. */
void	 llm_credit(struct llm_call *);

/* llm_out.c */
void	 llm_on_head(struct llm_call *, struct req *,
	    const struct exec_llm_head *);
void	 llm_on_data(struct llm_call *, struct req *,
	    const struct exec_job_data *);
/* The provider's answer is complete. */
void	 llm_on_done(struct llm_call *, struct req *);
/* It is over without that: an answer, or an honest end of the one begun. */
void	 llm_fail(struct llm_call *, struct req *, enum xerr, const char *);

#endif
