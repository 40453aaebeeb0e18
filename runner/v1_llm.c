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
 * See v1_llm.h: one request, one answer.  A request is turned into the
 * provider's words once; the provider is called again where section 3.3 says
 * so, until the request's time is up.
 */

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/log.h"
#include "runner/budget.h"
#include "runner/llm.h"
#include "runner/llm_chat.h"
#include "runner/reply.h"
#include "runner/v1_llm.h"
#include "runner/v1_req.h"

#define ANSWER_MAX	(64 * 1024 * 1024)	/* of a provider */
#define ERROR_MAX	(16 * 1024)	/* of its error's text, to the server */
#define WINDOW		(256 * 1024)
#define RETRY_MS	500		/* doubled each time */
#define RETRY_AFTER_MAX	60		/* s; longer is not waited for */
#define MODELS_MAX	64		/* whose word for the limit is known */

static const char *const words[] = { "max_tokens", "max_completion_tokens" };

struct gen {
	LIST_ENTRY(gen)			 entry;
	char				*id;	/* of the request; owned */
	size_t				 idlen;
	bool				 listing;	/* llm_models */
	const struct llm_backend	*be;
	char				*model;
	struct buf			 body;	/* but for the limit of tokens */
	struct http_call		*call;	/* NULL: waits for the next */
	struct llm_list			*list;
	struct event			*deadline, *again;
	struct buf			 in;	/* what the provider said */
	size_t				 charged;
	uint64_t			 got;
	int				 status;
	bool				 events;	/* a stream of them */
	unsigned int			 after;	/* s; retry-after */
	unsigned int			 tries, word;
	bool				 swapped;	/* the word */
};

/* Models that want the second word; the oldest is forgotten. */
static struct { char name[LLM_MODEL_MAX + 1]; } second[MODELS_MAX];
static unsigned int		 nsecond;

static LIST_HEAD(, gen)		 gens = LIST_HEAD_INITIALIZER(gens);
static struct event_base	*event_base;

static void	gen_send(struct gen *);
static void	on_head(void *, const struct http_head *);
static void	on_body(void *, const void *, size_t);
static void	on_done(void *, const struct http_end *);
static void	on_deadline(evutil_socket_t, short, void *);
static void	on_again(evutil_socket_t, short, void *);
static void	on_listed(void *, enum xerr, const char *);

static const struct http_ops ops = { on_head, on_body, on_done };

void
v1_llm_init(struct event_base *base)
{
	event_base = base;
}

static struct gen *
gen_new(const struct request *r, unsigned int seconds)
{
	const unsigned int	 ms = seconds * LLM_SECOND_MS;
	const struct timeval	 tv = { ms / 1000, ms % 1000 * 1000 };
	struct gen		*g = calloc(1, sizeof(*g));

	if (g == NULL || (g->id = malloc(r->msg.id.len + 1)) == NULL)
		fatalx("out of memory");
	if (r->msg.id.len > 0)
		memcpy(g->id, r->msg.id.p, r->msg.id.len);
	g->idlen = r->msg.id.len;
	g->deadline = evtimer_new(event_base, on_deadline, g);
	g->again = evtimer_new(event_base, on_again, g);
	if (g->deadline == NULL || g->again == NULL ||
	    evtimer_add(g->deadline, &tv) == -1)
		fatalx("out of memory");
	LIST_INSERT_HEAD(&gens, g, entry);
	return g;
}

static void
gen_free(struct gen *g)
{
	LIST_REMOVE(g, entry);
	llm_free(g->call);
	llm_list_cancel(g->list);
	event_free(g->deadline);
	event_free(g->again);
	buf_clear(&g->body);
	buf_clear(&g->in);
	budget_give(g->charged);
	free(g->model);
	free(g->id);
	free(g);
}

void
v1_llm_abandon(void)
{
	struct gen	*g;

	while ((g = LIST_FIRST(&gens)) != NULL)
		gen_free(g);
}

static struct slice
gen_id(const struct gen *g)
{
	return (struct slice){ g->id, g->idlen };
}

static const char *
gen_type(const struct gen *g)
{
	return v1_type_name(g->listing ? V1_LLM_MODELS : V1_LLM_GENERATE);
}

static void
gen_fail(struct gen *g, enum xerr code, const char *text)
{
	char	 all[400];

	snprintf(all, sizeof(all), "LLM %s failed: %s", g->listing ?
	    "model list" : "generate", text);
	reply_error(gen_id(g), slice_str(gen_type(g)), code, slice_str(all));
	gen_free(g);
}

/* --- the answer --- */

/* The JSON in b, as the body of a message of this type. */
static void
gen_reply(struct gen *g, enum v1_type type, const struct buf *b)
{
	struct evbuffer	*eb;
	struct reply	*r;

	if (!budget_take(b->len)) {
		gen_fail(g, XERR_EIO, "the runner has no memory left");
		return;
	}
	if ((eb = evbuffer_new()) == NULL ||
	    evbuffer_add(eb, buf_data(b), b->len) == -1)
		fatalx("out of memory");
	r = reply_new(gen_id(g), type);
	reply_json(r, ",\"body\":");
	reply_raw(r, eb);
	reply_json(r, "}");
	reply_queue(r);
	gen_free(g);
}

static void
gen_take(struct gen *g)
{
	struct llm_answer	*a = calloc(1, sizeof(*a));
	struct buf		 out = { 0 };
	char			*text = (char *)buf_data(&g->in);
	const char		*why;

	if (a == NULL)
		fatalx("out of memory");
	why = g->events ? llm_events_read(g->be, a, text, g->in.len) :
	    g->be->read(a, text, g->in.len);
	if (why == NULL && !llm_answer_write(a, &out))
		why = "out of memory";
	llm_answer_clear(a);
	free(a);
	if (why != NULL)
		gen_fail(g, XERR_EIO, why);
	else
		gen_reply(g, V1_LLM_RESPONSE, &out);
	buf_clear(&out);
}

/* As Go's client words it.  The provider's text is not for our log. */
static void
gen_refused(struct gen *g)
{
	struct slice	 text = { buf_data(&g->in), g->in.len };
	struct reply	*r = reply_new(gen_id(g), V1_ERROR);

	log_warnx("reply EIO to %s: the provider answered with HTTP status %d",
	    gen_type(g), g->status);
	if (text.len > ERROR_MAX)
		text.len = ERROR_MAX;
	reply_json(r, ",\"body\":{\"message\":\"LLM generate failed: status "
	    "%d", g->status);
	if (g->after > 0)
		reply_json(r, " (retry after %u s)", g->after);
	reply_json(r, ": ");
	reply_bytes(r, text);
	reply_json(r, "\",\"code\":\"EIO\"}}");
	reply_queue(r);
	gen_free(g);
}

/* --- calls of the provider --- */

static unsigned int
word_of(const char *model)
{
	unsigned int	 i;

	for (i = 0; i < nsecond && i < MODELS_MAX; i++)
		if (strcmp(second[i].name, model) == 0)
			return 1;
	return 0;
}

static void
word_remember(const char *model, unsigned int word)
{
	unsigned int	 i;

	for (i = 0; i < nsecond && i < MODELS_MAX; i++)
		if (strcmp(second[i].name, model) == 0) {
			if (word == 0)
				second[i].name[0] = '\0';
			return;
		}
	if (word == 1)
		snprintf(second[nsecond++ % MODELS_MAX].name,
		    sizeof(second[0].name), "%s", model);
}

static void
gen_reset(struct gen *g)
{
	llm_free(g->call);
	g->call = NULL;
	buf_clear(&g->in);
	budget_give(g->charged - g->body.len);
	g->charged = g->body.len;
	g->got = 0;
	g->status = 0;
	g->after = 0;
	g->events = false;
}

static void
gen_send(struct gen *g)
{
	struct buf	 body = { 0 };
	const char	*why;
	char		 head[64];
	int		 n;

	n = snprintf(head, sizeof(head), "{\"%s\":%u,", words[g->word],
	    g->be->tokens(g->model));
	if (buf_add(&body, head, (size_t)n) == -1 ||
	    buf_add(&body, buf_data(&g->body) + 1, g->body.len - 1) == -1)
		fatalx("out of memory");
	g->tries++;
	/* The settings may have changed meanwhile. */
	if (!llm_on())
		gen_fail(g, XERR_ENOTSUP, "no language model any more");
	else if ((g->call = llm_send(LLM_CHAT, NULL, &body, 0, 0, &ops, g,
	    &why)) == NULL)
		gen_fail(g, XERR_EIO, why);
	else
		http_call_credit(g->call, WINDOW);
	buf_clear(&body);
}

/* Anthropic wants one word always; the other clients learn. */
static bool
word_is_wrong(const struct gen *g)
{
	static const char *const	 says[] = { "not supported",
	    "unsupported", "Unsupported", "not allowed", "Unrecognized",
	    "unrecognized", "unknown", "Unknown" };
	const char			*text = (char *)buf_data(&g->in);
	size_t				 i;

	if (g->be->retries == 0 || g->status != 400 || g->swapped ||
	    g->in.len == 0 || memmem(text, g->in.len, words[g->word],
	    strlen(words[g->word])) == NULL)
		return false;
	for (i = 0; i < sizeof(says) / sizeof(says[0]); i++)
		if (memmem(text, g->in.len, says[i], strlen(says[i])) != NULL)
			return true;
	return false;
}

/* false: it is not done again. */
static bool
gen_retry(struct gen *g, bool failed)
{
	struct timeval	 tv = { 0 };
	uint64_t	 ms = (uint64_t)RETRY_MS << (g->tries - 1);

	if (g->tries > g->be->retries || g->after > RETRY_AFTER_MAX ||
	    (!failed && g->status != 408 && g->status != 409 &&
	    g->status != 429 && g->status < 500))
		return false;
	if (g->after > 0)
		ms = (uint64_t)g->after * 1000;
	log_info("LLM: call %u failed (%d), again in %llu ms", g->tries,
	    g->status, (unsigned long long)ms);
	gen_reset(g);
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	evtimer_add(g->again, &tv);
	return true;
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	gen_send(arg);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	gen_fail(arg, XERR_EIO, "the provider did not answer in time");
}

/* The value of that header, or NULL. */
static const char *
header_value(const struct http_head *head, const char *name)
{
	size_t	 i, n = strlen(name);

	for (i = 0; i < head->nheaders; i++)
		if (strncasecmp(head->headers[i], name, n) == 0 &&
		    head->headers[i][n] == ':')
			return head->headers[i] + n + 1 +
			    strspn(head->headers[i] + n + 1, " \t");
	return NULL;
}

static void
on_head(void *arg, const struct http_head *head)
{
	struct gen	*g = arg;
	const char	*v;
	unsigned long	 after;

	g->status = head->status;
	v = header_value(head, "content-type");
	g->events = v != NULL && strncasecmp(v, "text/event-stream", 17) == 0;
	/* A date is as good as none. */
	if ((v = header_value(head, "retry-after")) != NULL &&
	    (after = strtoul(v, NULL, 10)) <= 86400)
		g->after = (unsigned int)after;
}

static void
on_body(void *arg, const void *bytes, size_t n)
{
	struct gen	*g = arg;

	g->got += n;
	if (g->got > ANSWER_MAX || !budget_take(n)) {
		gen_fail(g, XERR_EIO, "the provider's answer is too large");
		return;
	}
	g->charged += n;
	if (buf_add(&g->in, bytes, n) == -1)
		fatalx("out of memory");
	http_call_credit(g->call, g->got + WINDOW);
}

static void
on_done(void *arg, const struct http_end *end)
{
	struct gen	*g = arg;
	bool		 failed = end->code != XERR_NONE;

	if (failed) {
		/* A connection that failed was tried again already. */
		if (end->code != XERR_EIO || g->status != 0 ||
		    !gen_retry(g, true))
			gen_fail(g, XERR_EIO, end->text);
	} else if (g->status == 200)
		gen_take(g);
	else if (word_is_wrong(g)) {
		g->swapped = true;
		g->word = !g->word;
		word_remember(g->model, g->word);
		g->tries--;
		gen_reset(g);
		gen_send(g);
	} else if (!gen_retry(g, false))
		gen_refused(g);
}

/* --- requests --- */

static bool
llm_missing(struct request *r)
{
	if (!llm_on())
		req_refuse(r, XERR_ENOTSUP, "no language model is configured "
		    "on this runner");
	return !llm_on();
}

static bool
chat_read(struct request *r, struct llm_chat *c, char *model, size_t size)
{
	struct v1_member	 m[] = { { .key = "messages" },
				    { .key = "tools" }, { .key = "model" },
				    { .key = "thinking_mode" } };
	struct slice		 name;

	if (!req_members(r, m, 4) || !req_text(r, &m[2], &name) ||
	    !req_text(r, &m[3], &c->thinking))
		return false;
	if (name.len == 0)
		name = slice_str(llm_registered());
	c->messages = m[0].value;
	c->tools = m[1].value;
	c->model = model;
	c->base_url = llm_base_url();
	if (c->messages.kind != V1_ARRAY ||
	    (c->tools.kind > V1_NULL && c->tools.kind != V1_ARRAY)) {
		req_refuse(r, XERR_EINVAL, "invalid llm_generate request: "
		    "messages or tools are no list");
		return false;
	}
	if (name.len == 0 || !slice_copy(model, size, name)) {
		req_refuse(r, XERR_EINVAL, "invalid llm_generate request: no "
		    "model, or none that has such a name");
		return false;
	}
	return true;
}

void
start_llm_generate(struct request *r)
{
	const struct llm_backend	*be;
	struct llm_chat			 c = { .model = NULL };
	struct gen			*g;
	struct buf			 body = { 0 };
	char				 model[LLM_MODEL_MAX + 1];
	char				 why[LLM_WHY_MAX] = "";

	if (llm_missing(r) || !chat_read(r, &c, model, sizeof(model)))
		return;
	be = llm_dialect() == LLM_OPENAI ? &llm_openai : &llm_anthropic;
	if (!be->write(&c, &body, why) || !budget_take(body.len)) {
		req_refuse(r, XERR_EINVAL, "invalid llm_generate request: %s",
		    why);
		buf_clear(&body);
		return;
	}
	g = gen_new(r, LLM_CHAT_S);
	g->be = be;
	g->body = body;
	g->charged = body.len;
	if ((g->model = strdup(model)) == NULL)
		fatalx("out of memory");
	g->word = be->retries > 0 ? word_of(model) : 0;
	gen_send(g);
}

/* What is known is better than nothing. */
static void
on_listed(void *arg, enum xerr code, const char *text)
{
	struct gen	*g = arg;
	struct buf	 b = { 0 };
	struct jsonw	 w;
	size_t		 i;

	g->list = NULL;
	if (llm_list_at(0) == NULL && code != XERR_NONE) {
		gen_fail(g, XERR_EIO, text);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_array(&w, "models");
	for (i = 0; llm_list_at(i) != NULL; i++)
		jsonw_text(&w, NULL, llm_list_at(i));
	jsonw_end(&w);
	jsonw_end(&w);
	if (!jsonw_ok(&w))
		fatalx("out of memory");
	gen_reply(g, V1_LLM_MODELS_RESPONSE, &b);
	buf_clear(&b);
}

void
start_llm_models(struct request *r)
{
	struct gen	*g;

	if (llm_missing(r))
		return;
	g = gen_new(r, LLM_LIST_S * 2);
	g->listing = true;
	g->list = llm_list_ask(LLM_LIST_S, on_listed, g);
	if (g->list == NULL)
		on_listed(g, XERR_EBUSY, "too many calls of the language "
		    "model");
}
