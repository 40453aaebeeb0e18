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
 * The models that the provider lists.  Runs in: xbot-runner.  The answer is
 * hostile: as many names, and as long ones, as a server may want to see.
 */

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/json.h"
#include "base/log.h"
#include "runner/llm.h"

#define START_S		15		/* then it begins without (D31) */
#define LIST_MAX	(4 * 1024 * 1024)	/* bytes of an answer */
#define NAMES_MAX	1024

struct llm_list {
	LIST_ENTRY(llm_list)	 entry;
	struct http_call	*call;		/* NULL: it has ended */
	struct event		*deadline;
	struct buf		 body;
	int			 status;
	bool			 stale;		/* of other settings */
	void			(*done)(void *, enum xerr, const char *);
	void			*arg;
};

static LIST_HEAD(, llm_list)	 lists = LIST_HEAD_INITIALIZER(lists);
static struct event_base	*event_base;
static char			*names[NAMES_MAX];
static size_t			 nnames;
static void			(*started)(void);

static void	on_head(void *, const struct http_head *);
static void	on_body(void *, const void *, size_t);
static void	on_done(void *, const struct http_end *);
static void	on_deadline(evutil_socket_t, short, void *);

static const struct http_ops ops = { on_head, on_body, on_done };

static void
names_clear(void)
{
	while (nnames > 0)
		free(names[--nnames]);
}

void
llm_list_forget(void)
{
	struct llm_list	*l;

	names_clear();
	LIST_FOREACH(l, &lists, entry)
		l->stale = true;
}

/* The model in use is always one of them, and the first. */
const char *
llm_list_at(size_t i)
{
	const char	*model = llm_model();
	size_t		 k;

	if (model[0] == '\0')
		return i < nnames ? names[i] : NULL;
	if (i == 0)
		return model;
	for (k = 0; k < nnames; k++)
		if (strcmp(names[k], model) != 0 && --i == 0)
			return names[k];
	return NULL;
}

static bool
name_new(const char *name)
{
	size_t	 i;

	for (i = 0; i < nnames; i++)
		if (strcmp(names[i], name) == 0)
			return false;
	return true;
}

/* {"data":[{"id":"..."}, ...]}, of both providers. */
static bool
names_read(const struct buf *body)
{
	const struct json_value	*data, *v;
	struct json		*j;
	const char		*why;
	char			 name[LLM_MODEL_MAX + 1];
	bool			 ok;

	j = json_parse((const char *)buf_data(body), body->len, 0, &why);
	ok = j != NULL && json_get_array(json_root(j), "data", &data) ==
	    JSON_GOT;
	if (ok) {
		names_clear();
		for (v = json_first(data); v != NULL && nnames < NAMES_MAX;
		    v = json_next(v))
			if (json_cstr(json_find(v, "id"), name, sizeof(name)) &&
			    name[0] != '\0' && name_new(name) &&
			    (names[nnames] = strdup(name)) != NULL)
				nnames++;
	}
	json_free(j);
	return ok;
}

static void
list_free(struct llm_list *l)
{
	LIST_REMOVE(l, entry);
	llm_free(l->call);
	event_free(l->deadline);
	buf_clear(&l->body);
	free(l);
}

static void
list_end(struct llm_list *l, enum xerr code, const char *text)
{
	void	(*done)(void *, enum xerr, const char *) = l->done;
	void	*arg = l->arg;

	list_free(l);
	done(arg, code, text);
}

static void
on_head(void *arg, const struct http_head *head)
{
	struct llm_list	*l = arg;

	l->status = head->status;
	http_call_credit(l->call, LIST_MAX);
}

static void
on_body(void *arg, const void *bytes, size_t n)
{
	struct llm_list	*l = arg;

	if (buf_add(&l->body, bytes, n) == -1)
		l->status = 0;		/* as if it had none */
	/* Beyond this it gets no credit, and the deadline ends it. */
}

static void
on_done(void *arg, const struct http_end *end)
{
	struct llm_list	*l = arg;

	if (end->code != XERR_NONE)
		list_end(l, end->code == XERR_ETIMEDOUT ? end->code : XERR_EIO,
		    end->text);
	else if (l->status != 200 || l->stale)
		list_end(l, XERR_EIO, "the provider lists no models");
	else if (!names_read(&l->body))
		list_end(l, XERR_EIO, "the provider's list of models is "
		    "malformed");
	else
		list_end(l, XERR_NONE, "");
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	list_end(arg, XERR_ETIMEDOUT, "the provider did not list its models "
	    "in time");
}

struct llm_list *
llm_list_ask(unsigned int seconds, void (*done)(void *, enum xerr,
    const char *), void *arg)
{
	const struct timeval	 tv = { .tv_sec = seconds };
	struct llm_list		*l = calloc(1, sizeof(*l));
	const char		*why;

	if (l == NULL ||
	    (l->deadline = evtimer_new(event_base, on_deadline, l)) == NULL)
		fatalx("out of memory");
	LIST_INSERT_HEAD(&lists, l, entry);
	l->done = done;
	l->arg = arg;
	l->call = llm_send(LLM_MODELS, NULL, NULL, 0, 0, &ops, l, &why);
	if (l->call == NULL) {
		list_free(l);
		return NULL;
	}
	evtimer_add(l->deadline, &tv);
	return l;
}

void
llm_list_cancel(struct llm_list *l)
{
	if (l != NULL)
		list_free(l);
}

static void
on_started(void *arg, enum xerr code, const char *text)
{
	void	(*ready)(void) = started;

	if (code != XERR_NONE)
		log_warnx("LLM: %s", text);
	started = NULL;
	if (ready != NULL)
		ready();
}

void
llm_list_start(struct event_base *base, void (*ready)(void))
{
	event_base = base;
	/* Whoever named a model needs not wait. */
	if (llm_on()) {
		started = llm_model()[0] == '\0' ? ready : NULL;
		if (llm_list_ask(START_S, on_started, NULL) == NULL)
			started = NULL;
	}
	if (started == NULL)
		ready();
}
