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
 * Sessions, their jobs, and the executors that run them.  Runs in: none, box.
 *
 * A session is one request of front's or control's, known by its channel and
 * its serial.  It belongs to one user and so to one executor.  A job belongs to a
 * session until that is closed, then to nobody until the executor has ended
 * it.
 */

#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/chan.h"
#include "base/ids.h"
#include "base/table.h"
#include "proto/error.h"

struct executor;
struct session;

struct job {
	struct table_node	 node;		/* in its executor's table */
	LIST_ENTRY(job)		 entry;		/* in its session's list */
	struct id16		 id;
	struct session		*session;	/* NULL: nobody waits */
	bool			 started;	/* the executor said so */
	bool			 task;		/* outlives its session */
};

struct session {
	struct table_node	 node;		/* in its client's table */
	TAILQ_ENTRY(session)	 entry;		/* in its executor's list */
	uint64_t		 serial;
	struct client		*client;
	struct executor		*executor;
	LIST_HEAD(, job)	 jobs;
	/* What came before the executor was there: whole frames. */
	struct buf		 early;
};

/* front or control. */
struct client {
	struct chan		*chan;		/* NULL: gone */
	struct table		 sessions;
};

/* session.c */
extern const struct rules	 session_rules;
/* The channel went: all its sessions are closed. */
void	 client_gone(struct client *);
/* The executor is lost: tell and forget the session. */
void	 session_lost(struct session *, enum xerr, const char *);
/* The executor is there: send what was kept. */
void	 session_flush(struct session *);
/* From the executor: to whom the job belongs. */
void	 session_answer(struct job *, const struct msg *);

/* executor.c */
/* The user's, started when there is none.  NULL and *why. */
struct executor	*executor_get(struct slice user, const char **why);
void		 executor_attach(struct executor *, struct session *);
void		 executor_detach(struct session *);
/* NULL while it is being started. */
struct chan	*executor_chan(const struct executor *);
/* NULL and *why. */
struct job	*job_add(struct session *, struct id16, const char **why);
struct job	*job_find(const struct executor *, struct id16);
void		 job_free(struct executor *, struct job *);
/* ledger or docker came (again): ask what is still open. */
void		 executor_ask_again(void);
void		 on_slot(struct chan *, const struct msg *);
void		 on_executor(struct chan *, const struct msg *);
void		 on_executor_refused(struct chan *, const struct msg *);

void		 on_sandbox_ended(struct chan *, const struct msg *);
void		 on_sandbox_held(struct chan *, const struct msg *);

/* main.c */
/* Who brings executors: the parent, or docker (NULL while it is away). */
struct chan	*session_launcher(void);
bool		 session_has_slots(void);

#endif
