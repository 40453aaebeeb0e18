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

struct event;
struct session;

/* One a user. */
struct executor {
	struct table_node	 node;
	char			 user[ID_USER_MAX + 1];
	uint64_t		 serial;	/* of the open question */
	bool			 slot_open;	/* ledger has not answered */
	struct chan		*chan;		/* NULL: being started */
	struct table		 jobs;
	TAILQ_HEAD(, session)	 sessions;
	bool			 hidden;	/* the user has another one */

	/* box.c's, all zero in none */
	bool			 held;		/* nothing is forwarded */
	bool			 late;		/* for too long: EBUSY */
	bool			 busy;		/* as docker was told */
	bool			 tasks;		/* it may have some */
	uint64_t		 poll;		/* for them; 0: none */
	unsigned int		 running;	/* so many, says the poll */
	struct event		*held_timer;
	struct event		*idle_timer;
};

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
	bool			 sent;		/* the executor knows of it */
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
/* Does it take messages?  Not while it is being started, or held. */
bool		 executor_takes(const struct executor *);
/* NULL and *why. */
struct job	*job_add(struct session *, struct id16, const char **why);
struct job	*job_find(const struct executor *, struct id16);
void		 job_free(struct executor *, struct job *);
/* ledger or docker came (again): ask what is still open. */
void		 executor_ask_again(void);
void		 on_slot(struct chan *, const struct msg *);
void		 on_executor(struct chan *, const struct msg *);
void		 on_executor_refused(struct chan *, const struct msg *);

/* Send what its sessions have kept, if it takes that. */
void		 executor_flush(struct executor *);
/* All that users have; it may free that one. */
void		 executor_each(void (*)(struct executor *));
/* The one that the user has, NULL. */
struct executor	*executor_find(const char *user);
/* What has started is lost; what has not was never there. */
void		 executor_free(struct executor *, enum xerr, const char *);
/* Another one in its place; who was not sent yet goes over to it. */
void		 executor_replace(struct executor *);

#define BOX_LATE	"the sandbox is being saved, or was paused"

/* box.c: what containers have and the host has not; nothing in none */
/* A session came. */
void		 box_activity(struct executor *);
/* The last one has gone. */
void		 box_idle(struct executor *);
/* The connection was lost: why?  broke: it is not to be spoken to again.
 * Takes the executor. */
void		 box_ask_why(struct executor *, bool broke);
/* Of no job: an answer to a question of box's own, or nothing. */
void		 box_answer(struct executor *, const struct msg *);
void		 box_clear(struct executor *);
/* docker came, or went. */
void		 box_docker_up(void);
void		 box_docker_closed(struct chan *, const char *, bool);
void		 on_sandbox_ended(struct chan *, const struct msg *);
void		 on_sandbox_held(struct chan *, const struct msg *);

/* main.c */
/* Who brings executors: the parent, or docker (NULL while it is away). */
struct chan	*session_launcher(void);
bool		 session_has_slots(void);

#endif
