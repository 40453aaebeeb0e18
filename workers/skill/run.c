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
 * Processes of runs, as the worker sees them: a table of places, each free,
 * with a spare, with a run, or with one that is ending.
 * Runs in: skill.  Trusts the zygote; what a run writes is hostile.
 * Owns: the run's end of its socket, its deadline, its output.
 */

#include <sys/socket.h>
#include <sys/wait.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "workers/skill/skill.h"

/* Started ahead of need, so that a run waits for no fork. */
#define SPARES		4u
/* Python raises at the deadline and may still tell where; then we end it. */
#define GRACE_S		1
#define OUT_LOW		(256u * 1024)	/* of a body, not yet written */
/* Spares that ended by themselves since the last answer: no jail can be made,
 * and a new zygote may do better, later. */
#define LOST_MAX	32u
#define LINES_MAX	200u		/* of output that one run may log */
#define LINE_BYTES	1024u

enum run_state {
	RUN_FREE,
	RUN_SPARE,		/* forked, without a call */
	RUN_BUSY,
	RUN_ENDING,		/* killed or done: its exit is awaited */
	RUN_STATES
};

struct run {
	enum run_state	 state;
	uint32_t	 place;
	uint64_t	 id;		/* of the process; see struct word */
	struct call	*call;		/* NULL: nobody's, or answered */
	struct bufferevent *bev;	/* NULL: closed */
	struct event	*deadline;
	struct event	*output;
	bool		 gone;		/* the zygote said so, with status */
	int		 status;
	uint64_t	 serial;	/* of the call, for the log */
	uint32_t	 timeout;
	char		 line[LINE_BYTES];
	size_t		 nline;
	unsigned int	 lines;
};

static struct run	 runs[SKILL_PLACES];
static unsigned int	 counts[RUN_STATES];
static struct zygote	*zygote;
static struct event	*on_words;
static bool		 stopping;
static unsigned int	 lost;

static void	 run_set(struct run *, enum run_state);
static void	 run_over(struct run *);
static void	 spares_fill(void);
static bool	 output_read(struct run *);
static void	 line_log(struct run *);
static void	 on_word(evutil_socket_t, short, void *);
static void	 on_deadline(evutil_socket_t, short, void *);
static void	 on_output(evutil_socket_t, short, void *);
static void	 on_read(struct bufferevent *, void *);
static void	 on_write(struct bufferevent *, void *);
static void	 on_event(struct bufferevent *, short, void *);

void
runs_init(struct zygote *z)
{
	uint32_t i;

	zygote = z;
	on_words = event_new(child_base(), z->link, EV_READ | EV_PERSIST,
	    on_word, NULL);
	if (on_words == NULL || event_add(on_words, NULL) == -1)
		fatal("zygote");
	for (i = 0; i < SKILL_PLACES; i++) {
		runs[i].place = i;
		counts[RUN_FREE]++;
		runs[i].deadline = evtimer_new(child_base(), on_deadline,
		    &runs[i]);
		(void)evutil_make_socket_nonblocking(z->output[i]);
		runs[i].output = event_new(child_base(), z->output[i],
		    EV_READ | EV_PERSIST, on_output, &runs[i]);
		if (runs[i].deadline == NULL || runs[i].output == NULL ||
		    event_add(runs[i].output, NULL) == -1)
			fatal("places");
	}
	spares_fill();
}

static void
run_set(struct run *r, enum run_state state)
{
	counts[r->state]--;
	counts[state]++;
	r->state = state;
}

static struct run *
run_find(enum run_state state)
{
	uint32_t i;

	if (counts[state] == 0)
		return NULL;
	for (i = 0; runs[i].state != state; i++)
		continue;
	return &runs[i];
}

/* --- to the zygote --- */

/* Its queue holds every word that can be under way; when it does not, the
 * zygote hangs, and only a new one helps. */
static void
say(const struct word *w, int passed)
{
	if (word_send(zygote->link, w, passed) == -1)
		fatal("zygote");
}

static bool
run_fork(struct run *r)
{
	struct word w = {
		.what = WORD_FORK, .place = r->place, .run = ++r->id,
		.policy = (uint32_t)skill_conf.policy,
		.cpu = skill_conf.timeout + GRACE_S,
		.processes = skill_conf.processes,
		.memory = skill_conf.memory,
		/* Others that run have a better use for the processor. */
		.rehearse = counts[RUN_BUSY] == 0
	};
	int	 sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1) {
		log_warn("run");
		return false;
	}
	(void)evutil_make_socket_nonblocking(sv[0]);
	r->bev = bufferevent_socket_new(child_base(), sv[0],
	    BEV_OPT_CLOSE_ON_FREE);
	if (r->bev == NULL) {
		(void)close(sv[0]);
		(void)close(sv[1]);
		return false;
	}
	bufferevent_setcb(r->bev, on_read, on_write, on_event, r);
	bufferevent_setwatermark(r->bev, EV_WRITE, OUT_LOW, 0);
	(void)bufferevent_enable(r->bev, EV_READ);
	r->gone = false;
	r->serial = 0;
	r->nline = 0;
	r->lines = 0;
	run_set(r, RUN_SPARE);
	say(&w, sv[1]);
	return true;
}

static void
spares_fill(void)
{
	while (!stopping && counts[RUN_SPARE] < SPARES &&
	    counts[RUN_FREE] > 0)
		if (!run_fork(run_find(RUN_FREE)))
			return;
}

void
runs_renew(void)
{
	struct run *r;

	while ((r = run_find(RUN_SPARE)) != NULL)
		run_end(r);
	spares_fill();
}

/* --- a run --- */

struct run *
run_take(struct call *call)
{
	struct timeval	 tv = { skill_conf.timeout + GRACE_S, 0 };
	struct run	*r = run_find(RUN_SPARE);

	if (r == NULL && ((r = run_find(RUN_FREE)) == NULL || !run_fork(r)))
		return NULL;
	run_set(r, RUN_BUSY);
	r->call = call;
	r->serial = call_serial(call);
	r->timeout = skill_conf.timeout;
	(void)evtimer_add(r->deadline, &tv);
	return r;
}

size_t
run_write(struct run *r, const void *p, size_t len)
{
	if (r->bev == NULL)
		return 0;
	(void)bufferevent_write(r->bev, p, len);
	return evbuffer_get_length(bufferevent_get_output(r->bev));
}

static void
run_kill(const struct run *r)
{
	struct word w = { .what = WORD_KILL, .place = r->place, .run = r->id };

	say(&w, -1);
}

/* Whatever it is doing, and whatever it has started. */
void
run_end(struct run *r)
{
	r->call = NULL;
	(void)evtimer_del(r->deadline);
	if (r->bev != NULL)
		bufferevent_free(r->bev);
	r->bev = NULL;
	if (r->gone) {
		run_over(r);
		return;
	}
	run_set(r, RUN_ENDING);
	run_kill(r);
}

static void
run_failed(struct run *r, const char *id, const char *text)
{
	struct call *call = r->call;

	run_end(r);
	if (call != NULL)
		call_failed(call, id, text);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct run	*r = arg;
	char		 text[128];

	(void)snprintf(text, sizeof(text), "The skill did not end within %u "
	    "seconds.", r->timeout);
	run_failed(r, "TimeoutError", text);
}

/* --- its answer --- */

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct run		*r = arg;
	struct evbuffer		*in = bufferevent_get_input(bev);
	struct run_answer	 a;
	struct buf		 b = { 0 };
	struct call		*call = r->call;
	void			*p;

	if (r->state != RUN_BUSY || evbuffer_copyout(in, &a, sizeof(a)) <
	    (ssize_t)sizeof(a))
		return;
	if (a.length > SKILL_ANSWER_MAX || (a.status != 200 &&
	    a.status != 400 && a.status != 500)) {
		run_failed(r, "Crash", "The skill spoiled its own answer.");
		return;
	}
	if (evbuffer_get_length(in) - sizeof(a) < a.length)
		return;
	(void)evbuffer_drain(in, sizeof(a));
	if ((p = buf_reserve(&b, a.length + 1)) == NULL) {
		run_failed(r, "RunnerBusy", "No memory for the answer.");
		return;
	}
	(void)evbuffer_remove(in, p, a.length);
	b.len = a.length;
	lost = 0;
	run_end(r);
	call_answered(call, (uint16_t)a.status, &b);
	/* The next one is forked while this answer travels. */
	spares_fill();
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct run *r = arg;

	if (r->call != NULL)
		call_writable(r->call);
}

/* It is gone, or has closed its side; how it ended comes from the zygote. */
static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct run *r = arg;

	(void)bufferevent_disable(bev, EV_READ | EV_WRITE);
	r->bev = NULL;
	bufferevent_free(bev);
	if (r->gone)
		run_over(r);
	else if (r->state == RUN_BUSY)
		run_kill(r);	/* it may live on without a socket */
}

/* Without an answer: what to tell its caller. */
static void
exit_explain(int status, char *id, size_t idlen, char *text, size_t textlen)
{
	const char *why = "Crash";

	if (WIFEXITED(status))
		(void)snprintf(text, textlen, "The skill ended its process "
		    "with status %d.", WEXITSTATUS(status));
	else if (WTERMSIG(status) == SIGKILL)
		(void)snprintf(text, textlen, "The skill was ended: it went "
		    "over a limit, or the machine had no memory left.");
	else if (WTERMSIG(status) == SIGXCPU) {
		why = "TimeoutError";
		(void)snprintf(text, textlen, "The skill used all of its "
		    "processor time.");
	} else
		(void)snprintf(text, textlen, "The skill ended by signal %d "
		    "(%s).", WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 124) {
		why = "AnswerTooLarge";
		(void)snprintf(text, textlen, "The answer is larger than "
		    "16 MiB.");
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		why = "SystemExit";
	(void)snprintf(id, idlen, "%s", why);
}

/* Nothing is left of it: its place is free. */
static void
run_over(struct run *r)
{
	struct call	*call = r->call;
	char		 id[32], text[160];

	if (r->state == RUN_SPARE && ++lost > LOST_MAX)
		fatalx("processes for runs end before they have one, with "
		    "status %#x", (unsigned int)r->status);
	if (r->bev != NULL)
		bufferevent_free(r->bev);
	r->bev = NULL;
	r->call = NULL;
	(void)evtimer_del(r->deadline);
	while (output_read(r))
		continue;
	line_log(r);
	run_set(r, RUN_FREE);
	if (call == NULL)
		return;
	exit_explain(r->status, id, sizeof(id), text, sizeof(text));
	call_failed(call, id, text);
}

static void
on_word(evutil_socket_t fd, short what, void *arg)
{
	struct word	 w;
	struct run	*r;
	int		 passed;

	if (word_recv(fd, &w, &passed) != 1)
		fatalx("the zygote ended");
	r = &runs[w.place];
	if (w.what != WORD_EXITED || r->id != w.run || r->gone)
		return;
	r->gone = true;
	r->status = w.status;
	/* What it wrote last may still be in its socket: its end comes. */
	if (r->state != RUN_BUSY || r->bev == NULL)
		run_over(r);
	calls_start();
	spares_fill();
}

/* --- its output --- */

static void
line_log(struct run *r)
{
	char text[LINE_BYTES * 4];

	if (r->nline > 0 && r->lines++ < LINES_MAX)
		log_info("run %llu: %s", (unsigned long long)r->serial,
		    log_vis(text, sizeof(text), r->line, r->nline));
	else if (r->nline > 0 && r->lines == LINES_MAX + 1)
		log_info("run %llu: more output is dropped",
		    (unsigned long long)r->serial);
	r->nline = 0;
}

/* false: nothing there. */
static bool
output_read(struct run *r)
{
	char	 bytes[4096];
	ssize_t	 n, i;

	n = read(zygote->output[r->place], bytes, sizeof(bytes));
	for (i = 0; i < n; i++) {
		if (bytes[i] != '\n')
			r->line[r->nline++] = bytes[i];
		if (bytes[i] == '\n' || r->nline == sizeof(r->line))
			line_log(r);
	}
	return n > 0;
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	(void)output_read(arg);
}

/* --- the end --- */

void
runs_stop(void)
{
	stopping = true;
	(void)event_del(on_words);
	(void)close(zygote->link);
	(void)waitpid(zygote->pid, NULL, 0);
}
