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
 * Runs that front asks for: each waits for a place, gets its body through, and
 * has its answer taken back under credit.
 * Runs in: skill.  Trusts front to speak the protocol; the bodies are
 * hostile and are not looked at.  Owns: the calls, by front's serial.
 */

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/log.h"
#include "base/table.h"
#include "proto/ctl_msg.h"
#include "workers/skill/skill.h"

#define BODY_WINDOW	(1024u * 1024)	/* of a body, ahead of its run */
#define ANSWER_WINDOW	(256u * 1024)	/* front takes this much unasked */
#define CHUNK		(128u * 1024)

struct call {
	struct table_node	 node;		/* first */
	TAILQ_ENTRY(call)	 entry;		/* while it waits */
	uint64_t		 serial;
	uint64_t		 length, got, upto;	/* of the body */
	struct buf		 body;		/* until there is a run */
	char			*token, *trace;
	struct run		*run;		/* NULL: waits, or is over */
	bool			 waiting;
	struct buf		 answer;	/* what was not sent yet */
	uint64_t		 sent, may;	/* bytes of the answer */
};

static struct table		 calls;
static TAILQ_HEAD(, call)	 waiting = TAILQ_HEAD_INITIALIZER(waiting);

static struct call *
call_find(uint64_t serial)
{
	return (struct call *)table_find(&calls, serial);
}

uint64_t
call_serial(const struct call *call)
{
	return call->serial;
}

static char *
copy_text(struct slice s)
{
	char *p = malloc(s.len + 1);

	if (p != NULL)
		(void)slice_copy(p, s.len + 1, s);
	return p;
}

static void
call_free(struct call *call)
{
	if (call->waiting)
		TAILQ_REMOVE(&waiting, call, entry);
	table_remove(&calls, &call->node);
	buf_clear(&call->body);
	buf_clear(&call->answer);
	if (call->token != NULL)
		explicit_bzero(call->token, strlen(call->token));
	free(call->token);
	free(call->trace);
	free(call);
}

/* --- the request --- */

static bool
head_write(const struct call *call)
{
	struct run_head h = {
		.policy = (uint32_t)skill_conf.policy,
		.testing = skill_conf.testing,
		.timeout = skill_conf.timeout,
		.nurl = (uint32_t)strlen(skill_conf.api_url),
		.ntoken = (uint32_t)strlen(call->token),
		.ntrace = (uint32_t)strlen(call->trace),
		.nbody = call->length
	};
	struct buf	 b = { 0 };
	bool		 ok;

	ok = buf_add(&b, &h, sizeof(h)) == 0 &&
	    buf_add(&b, skill_conf.api_url, h.nurl) == 0 &&
	    buf_add(&b, call->token, h.ntoken) == 0 &&
	    buf_add(&b, call->trace, h.ntrace) == 0 &&
	    buf_add(&b, buf_data(&call->body), call->body.len) == 0;
	if (ok)
		(void)run_write(call->run, buf_data(&b), b.len);
	if (b.mem != NULL)
		explicit_bzero(b.mem, b.cap);
	buf_clear(&b);
	return ok;
}

/* So much more as its process is ready to take. */
static void
body_ask(struct call *call)
{
	struct ctl_skill_credit more;

	if (call->upto >= call->length ||
	    call->upto - call->got > BODY_WINDOW / 2)
		return;
	more.upto = call->upto = call->got + BODY_WINDOW;
	(void)chan_send(child_peer(ROLE_FRONT), CTL_SKILL_CREDIT,
	    call->serial, &more);
}

static void
call_begin(struct call *call)
{
	TAILQ_REMOVE(&waiting, call, entry);
	call->waiting = false;
	if (!head_write(call)) {
		run_end(call->run);
		call_failed(call, "RunnerBusy", "No memory.");
		return;
	}
	buf_clear(&call->body);
	body_ask(call);
}

void
calls_start(void)
{
	struct call *call;

	while ((call = TAILQ_FIRST(&waiting)) != NULL &&
	    (call->run = run_take(call)) != NULL)
		call_begin(call);
}

static void
on_run(struct chan *c, const struct msg *m)
{
	const struct ctl_skill_run	*p = m->body;
	struct call			*call;

	if (p->length > SKILL_BODY_MAX || call_find(m->serial) != NULL) {
		chan_refuse(c, "a run that cannot be");
		return;
	}
	if ((call = calloc(1, sizeof(*call))) == NULL ||
	    !table_add(&calls, &call->node, m->serial)) {
		free(call);
		fatal("call");
	}
	call->serial = m->serial;
	call->length = p->length;
	call->upto = SKILL_FIRST;
	call->may = ANSWER_WINDOW;
	call->waiting = true;
	TAILQ_INSERT_TAIL(&waiting, call, entry);
	if ((call->token = copy_text(p->api_token)) == NULL ||
	    (call->trace = copy_text(p->traceparent)) == NULL)
		fatal("call");
}

/* Small bodies come whole before their run begins: one write for all. */
static void
on_body(struct chan *c, const struct msg *m)
{
	const struct ctl_skill_body	*p = m->body;
	struct call			*call = call_find(m->serial);

	if (call == NULL)
		return;
	if (p->bytes.len > call->length - call->got ||
	    call->got + p->bytes.len > call->upto) {
		chan_refuse(c, "more of a body than it may");
		return;
	}
	call->got += p->bytes.len;
	if (call->run != NULL) {
		(void)run_write(call->run, p->bytes.p, p->bytes.len);
		return;
	}
	if (!call->waiting)
		return;
	if (buf_add(&call->body, p->bytes.p, p->bytes.len) == -1)
		fatal("body");
	if (call->got == call->length || call->got == SKILL_FIRST)
		calls_start();
}

void
call_writable(struct call *call)
{
	body_ask(call);
}

static void
on_cancel(struct chan *c, const struct msg *m)
{
	struct call *call = call_find(m->serial);

	if (call == NULL)
		return;
	if (call->run != NULL)
		run_end(call->run);
	call_free(call);
}

/* --- the answer --- */

static void
answer_send(struct call *call)
{
	struct ctl_skill_data	 d;
	size_t			 n;

	while (call->answer.len > 0 && call->sent < call->may) {
		n = call->answer.len < CHUNK ? call->answer.len : CHUNK;
		if (n > call->may - call->sent)
			n = (size_t)(call->may - call->sent);
		d.bytes = (struct slice){ buf_data(&call->answer), n };
		(void)chan_send(child_peer(ROLE_FRONT), CTL_SKILL_DATA,
		    call->serial, &d);
		buf_drain(&call->answer, n);
		call->sent += n;
	}
	if (call->answer.len == 0)
		call_free(call);
}

void
call_answered(struct call *call, uint16_t status, struct buf *b)
{
	struct ctl_skill_answer a = { status, status == 200 ? b->len : 0 };

	call->run = NULL;
	(void)chan_send(child_peer(ROLE_FRONT), CTL_SKILL_ANSWER,
	    call->serial, &a);
	if (status == 200) {
		call->answer = *b;
		*b = (struct buf){ 0 };
	}
	buf_clear(b);
	answer_send(call);
}

void
call_failed(struct call *call, const char *id, const char *text)
{
	struct ctl_skill_failed f = { slice_str(id), slice_str(text) };

	call->run = NULL;
	log_info("run %llu: %s", (unsigned long long)call->serial, text);
	(void)chan_send(child_peer(ROLE_FRONT), CTL_SKILL_FAILED,
	    call->serial, &f);
	call_free(call);
}

static void
on_more(struct chan *c, const struct msg *m)
{
	const struct ctl_skill_more	*p = m->body;
	struct call			*call = call_find(m->serial);

	if (call == NULL || call->run != NULL || p->upto < call->may)
		return;
	call->may = p->upto;
	answer_send(call);
}

/* Front is another one now: nobody waits for any of these. */
static void
on_closed(struct chan *c, const char *why, bool protocol)
{
	struct table_node	*n;
	struct call		*call;

	while ((n = table_any(&calls)) != NULL) {
		call = (struct call *)n;
		if (call->run != NULL)
			run_end(call->run);
		call_free(call);
	}
}

static const struct rule rules_v[] = {
	{ CTL_SKILL_RUN, STATES_ALL, on_run },
	{ CTL_SKILL_BODY, STATES_ALL, on_body },
	{ CTL_SKILL_CANCEL, STATES_ALL, on_cancel },
	{ CTL_SKILL_MORE, STATES_ALL, on_more }
};

const struct rules front_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_F, on_closed
};
