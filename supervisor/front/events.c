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
 * Listeners to events, as server-sent events.  Runs in: front, control.
 * Owns: struct listener, one a request, and its queue: a listener that does
 * not read loses its oldest events and is told how many.
 */

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "supervisor/front/events.h"

#define LISTENERS_MAX	1024
#define QUEUE_MAX	256	/* events that wait for one listener */
#define BEAT_S		15	/* else proxies think it dead */

/* One event, shared by all that wait to send it. */
struct event_text {
	unsigned int	 refs;
	size_t		 len;
	char		 bytes[];
};

struct listener {
	TAILQ_ENTRY(listener)	 entry;
	uint64_t		 req;
	char			 user[ID_USER_MAX + 1];	/* "": all */
	bool			 full;
	struct event_text	*queue[QUEUE_MAX];
	unsigned int		 first, n;
	uint64_t		 lost;
};

static void	 listeners_told(bool);
static void	 text_drop(struct event_text *);
static void	 listener_take(struct listener *, struct event_text *);
static void	 listener_send(struct listener *, const char *, size_t);
static void	 listener_flush(struct listener *);
static void	 listener_close(struct req *, void *);
static void	 on_writable(struct http_req *, void *);
static void	 on_beat(int, short, void *);

static TAILQ_HEAD(, listener)	 listeners = TAILQ_HEAD_INITIALIZER(listeners);
static unsigned int		 nlisteners;
static struct event		*beat;
static bool			 wanted_there;	/* by the other one's */

static const struct http_handler http_ops = { .on_writable = on_writable };

bool
events_wanted(void)
{
	return nlisteners > 0 || wanted_there;
}

void
events_ledger_up(void)
{
	wanted_there = false;	/* until this ledger says so */
	if (nlisteners > 0)
		listeners_told(true);
}

void
events_on_want(struct chan *c, const struct msg *m)
{
	wanted_there = ((const struct ctl_event_want *)m->body)->wanted;
}

void
events_relay(const char *name, const char *user, const struct buf *data)
{
	struct ctl_event_exec	 e = { slice_str(name), slice_str(user),
				    { buf_data(data), data->len } };
	struct chan		*c = child_peer(ROLE_LEDGER);

	if (wanted_there && c != NULL && !chan_is_full(c))
		(void)chan_send(c, CTL_EVENT_EXEC, 0, &e);
}

/* What the other one made; no line of it may pass for another event. */
void
events_on_exec(struct chan *c, const struct msg *m)
{
	const struct ctl_event_exec	*e = m->body;
	const char			*p = e->data.p;
	struct buf			 b = { 0 };
	char				 user[ID_USER_MAX + 1];
	size_t				 i;

	if (!slice_copy(user, sizeof(user), e->user) ||
	    (!slice_is(e->name, "exec") && !slice_is(e->name, "llm")))
		return;
	for (i = 0; i < e->data.len; i++)
		if ((unsigned char)p[i] < ' ')
			return;
	if (nlisteners > 0 && buf_add(&b, p, e->data.len) == 0)
		events_emit(slice_is(e->name, "llm") ? "llm" : "exec", user,
		    &b);
	buf_clear(&b);
}

/* The other one words its events for us, or need not. */
static void
listeners_told(bool any)
{
	struct ctl_event_want w = { any };

	(void)chan_send(child_peer(ROLE_LEDGER), CTL_EVENT_WANT, 0, &w);
}

static void
text_drop(struct event_text *t)
{
	if (--t->refs == 0)
		free(t);
}

void
events_emit(const char *name, const char *user, const struct buf *data)
{
	struct event_text	*t;
	struct listener		*l;
	size_t			 most = data->len + strlen(name) + 32;
	int			 n;

	if (nlisteners == 0 || (t = malloc(sizeof(*t) + most)) == NULL)
		return;
	n = snprintf(t->bytes, most, "event: %s\ndata: %.*s\n\n", name,
	    (int)data->len, (const char *)buf_data(data));
	t->refs = 1;
	t->len = (size_t)n;
	TAILQ_FOREACH(l, &listeners, entry)
		if (l->user[0] == '\0' || strcmp(l->user, user) == 0)
			listener_take(l, t);
	text_drop(t);
}

static void
listener_take(struct listener *l, struct event_text *t)
{
	if (!l->full) {
		listener_send(l, t->bytes, t->len);
		return;
	}
	if (l->n == QUEUE_MAX) {
		text_drop(l->queue[l->first]);
		l->first = (l->first + 1) % QUEUE_MAX;
		l->n--;
		l->lost++;
	}
	t->refs++;
	l->queue[(l->first + l->n++) % QUEUE_MAX] = t;
}

static void
listener_send(struct listener *l, const char *text, size_t len)
{
	struct req *r = req_find(l->req);

	if (r != NULL && req_data(r, text, len) == 1)
		l->full = true;
}

static void
listener_flush(struct listener *l)
{
	struct event_text	*t;
	char			 text[80];
	int			 n;

	if (l->lost > 0) {
		n = snprintf(text, sizeof(text), "event: lost\n"
		    "data: {\"lost\":%llu}\n\n", (unsigned long long)l->lost);
		l->lost = 0;
		listener_send(l, text, (size_t)n);
	}
	while (l->n > 0 && !l->full) {
		t = l->queue[l->first];
		l->first = (l->first + 1) % QUEUE_MAX;
		l->n--;
		listener_send(l, t->bytes, t->len);
		text_drop(t);
	}
}

static void
on_writable(struct http_req *h, void *arg)
{
	struct req	*r = arg;
	struct listener	*l = r->data;

	l->full = false;
	listener_flush(l);
}

static void
listener_close(struct req *r, void *data)
{
	struct listener *l = data;

	for (; l->n > 0; l->n--) {
		text_drop(l->queue[l->first]);
		l->first = (l->first + 1) % QUEUE_MAX;
	}
	TAILQ_REMOVE(&listeners, l, entry);
	if (--nlisteners == 0)
		listeners_told(false);
	free(l);
}

static void
on_beat(int fd, short what, void *arg)
{
	struct listener *l;

	TAILQ_FOREACH(l, &listeners, entry)
		if (!l->full)
			listener_send(l, ":\n\n", 3);
}

void
events_listen(struct req *r, const char *user)
{
	struct timeval	 tv = { BEAT_S, 0 };
	struct http_req	*h = req_http(r);
	struct listener	*l;

	if (h == NULL)
		return;
	if (beat == NULL &&
	    ((beat = event_new(front.base, -1, EV_PERSIST, on_beat, NULL)) ==
	    NULL || event_add(beat, &tv) == -1))
		log_warn("events: no timer");
	if (nlisteners == LISTENERS_MAX ||
	    (l = calloc(1, sizeof(*l))) == NULL) {
		req_error(r, XERR_EBUSY, "too many listeners");
		return;
	}
	l->req = r->serial;
	if (user != NULL)
		(void)slice_copy(l->user, sizeof(l->user), slice_str(user));
	TAILQ_INSERT_TAIL(&listeners, l, entry);
	if (++nlisteners == 1)
		listeners_told(true);
	r->data = l;
	r->close = listener_close;
	req_stream(r, &http_ops);
	http_reply_header(h, "Cache-Control", "no-store");
	if (req_start(r, 200, "text/event-stream", -1) == -1)
		return;
	if (http_req_verb(h) == HV_HEAD)
		req_end(r);
	else
		listener_send(l, ":\n\n", 3);
}

void
events_stop(void)
{
	struct listener	*l;
	struct req	*r;

	TAILQ_FOREACH(l, &listeners, entry)
		if ((r = req_find(l->req)) != NULL)
			req_end(r);
}
