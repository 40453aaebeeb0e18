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
 * A runner's connection as front relays it: assembly of messages under
 * limits, the queue towards the runner, credit both ways.  Runs in: remote.
 * What is inside the messages is hostile; that front keeps to its credit is
 * checked, and a front that does not is refused.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/frame.h"
#include "workers/remote/remote.h"

static void	link_free(struct link *);
static void	link_flush(struct link *);
static void	link_tell_close(uint64_t, uint16_t, const char *);
static void	link_timeout(evutil_socket_t, short, void *);

struct link_list	 links_up = TAILQ_HEAD_INITIALIZER(links_up);
struct link_list	 links_pending =
			    TAILQ_HEAD_INITIALIZER(links_pending);
static struct table	 by_serial, by_name;
static size_t		 npending;

struct link *
link_by_serial(uint64_t serial)
{
	struct table_node *n = table_find(&by_serial, serial);

	return n == NULL ? NULL : container_of(n, struct link, by_serial);
}

struct link *
link_by_name(struct slice user, struct slice name)
{
	struct table_node	*n;
	struct link		*l;

	for (n = table_find(&by_name, names_key(user, name)); n != NULL;
	    n = table_same(n)) {
		l = container_of(n, struct link, by_name);
		if (slice_is(user, l->user) && slice_is(name, l->name))
			return l;
	}
	return NULL;
}

int
link_enter(struct link *l)
{
	const struct timeval wait = { .tv_sec = V1_REGISTER_WAIT };

	if (!table_add(&by_name, &l->by_name, names_key(slice_str(l->user),
	    slice_str(l->name))))
		return -1;
	l->named = true;
	if (l->state != LINK_UP) {
		TAILQ_REMOVE(&links_pending, l, entry);
		npending--;
		TAILQ_INSERT_TAIL(&links_up, l, entry);
		l->state = LINK_UP;
		/* It still has to resume. */
		if (l->is_v2)
			return evtimer_add(l->timer, &wait);
		event_free(l->timer);
		l->timer = NULL;
	}
	return 0;
}

void
link_leave(struct link *l)
{
	if (l->named)
		table_remove(&by_name, &l->by_name);
	l->named = false;
}

static struct link *
link_new(uint64_t serial, const struct ctl_ws_open *open)
{
	struct link		*l = calloc(1, sizeof(*l));
	const struct timeval	 tv = { .tv_sec = V1_REGISTER_WAIT };

	if (l == NULL)
		return NULL;
	TAILQ_INIT(&l->out);
	TAILQ_INIT(&l->ops);
	TAILQ_INIT(&l->sessions);
	TAILQ_INIT(&l->tasks);
	l->serial = serial;
	l->user = strndup(open->user.p, open->user.len);
	l->address = strndup(open->address.p, open->address.len);
	l->is_v2 = slice_is(open->protocol, EXLINK_PROTOCOL);
	l->timer = evtimer_new(child_base(), link_timeout, l);
	TAILQ_INSERT_TAIL(&links_pending, l, entry);
	npending++;
	if (l->user == NULL || l->address == NULL || l->timer == NULL ||
	    evtimer_add(l->timer, &tv) == -1 || !table_add(&by_serial,
	    &l->by_serial, serial)) {
		link_free(l);
		return NULL;
	}
	return l;
}

void
on_ws_open(struct chan *c, const struct msg *m)
{
	const struct ctl_ws_open *open = m->body;
	struct link		 *l;

	if (link_by_serial(m->serial) != NULL) {
		chan_refuse(c, "a connection was opened twice");
		return;
	}
	if (npending >= PENDING_MAX || by_serial.n >= LINKS_MAX ||
	    (l = link_new(m->serial, open)) == NULL) {
		log_warnx("connection %llu: too many runners",
		    (unsigned long long)m->serial);
		link_tell_close(m->serial, 1013, "try again later");
		return;
	}
	log_debug("connection %llu: opened", (unsigned long long)l->serial);
	link_grant(l);
}

static void
link_free(struct link *l)
{
	struct outmsg	*o;
	struct op	*op;

	sessions_lost(l, "disconnected");
	v2_detach(l);
	while ((op = TAILQ_FIRST(&l->ops)) != NULL)
		op_free(op);
	tasks_clear(l);
	if (link_by_serial(l->serial) == l)
		table_remove(&by_serial, &l->by_serial);
	link_leave(l);
	if (l->state == LINK_UP)
		TAILQ_REMOVE(&links_up, l, entry);
	else {
		TAILQ_REMOVE(&links_pending, l, entry);
		npending--;
	}
	while ((o = TAILQ_FIRST(&l->out)) != NULL) {
		TAILQ_REMOVE(&l->out, o, entry);
		budget_give(o->size);
		buf_clear(&o->text);
		free(o);
	}
	budget_give(l->charged);
	if (l->timer != NULL)
		event_free(l->timer);
	if (l->state != LINK_UP && l->mem != NULL)
		explicit_bzero(l->mem, l->cap);		/* a token */
	free(l->mem);
	free(l->user);
	free(l->address);
	free(l->name);
	free(l->wish);
	free(l->workspace);
	free(l->shell);
	free(l->provider);
	free(l->model);
	free(l);
}

/* Is it still the runner of its name?  Then the ledger is told. */
static void
link_end(struct link *l, const char *why)
{
	bool was = l->online && link_by_name(slice_str(l->user),
	    slice_str(l->name)) == l;

	if (l->state == LINK_UP)
		log_info("connection %llu: runner %s of %s is gone: %s",
		    (unsigned long long)l->serial, l->name, l->user, why);
	else
		log_debug("connection %llu: gone: %s",
		    (unsigned long long)l->serial, why);
	if (was)
		register_status(l, false);
	link_free(l);
}

static void
link_tell_close(uint64_t serial, uint16_t code, const char *why)
{
	const struct ctl_ws_close close = { code, slice_str(why) };

	chan_send(child_peer(ROLE_FRONT), CTL_WS_CLOSE, serial, &close);
}

void
link_close(struct link *l, uint16_t code, const char *why)
{
	link_tell_close(l->serial, code, why);
	link_end(l, why);
}

void
link_finish(struct link *l, uint16_t code, const char *why)
{
	if (TAILQ_EMPTY(&l->out)) {
		link_close(l, code, why);
		return;
	}
	/* Only a connection that is not registered ends this way: the timer
	 * it still has is the limit. */
	l->state = LINK_CLOSING;
	l->close_code = code;
	l->close_why = why;
}

static void
link_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;

	if (l->state == LINK_CLOSING) {
		link_close(l, l->close_code, l->close_why);
		return;
	}
	log_info("connection %llu from %s: %s",
	    (unsigned long long)l->serial, l->address,
	    l->state == LINK_AUTH ? "the ledger does not answer" :
	    l->state == LINK_UP ? "did not resume its link in time" :
	    "did not register in time");
	if (l->state == LINK_AUTH)
		link_close(l, 1013, "try again later");
	else
		link_close(l, 1008, "registration timed out");
}

void
on_ws_gone(struct chan *c, const struct msg *m)
{
	struct link *l = link_by_serial(m->serial);

	if (l != NULL)
		link_end(l, "disconnected");
}

void
links_clear(void)
{
	struct link *l;

	while ((l = TAILQ_FIRST(&links_pending)) != NULL)
		link_end(l, "front went");
	while ((l = TAILQ_FIRST(&links_up)) != NULL)
		link_end(l, "front went");
	v2_front_went();
}

/* --- from the runner --- */

/* What is held or promised for this link, whichever is more. */
static bool
link_charge(struct link *l, size_t cap, size_t reserved)
{
	size_t want = cap > reserved ? cap : reserved;

	if (want > l->charged && !budget_take(want - l->charged))
		return false;
	if (want < l->charged)
		budget_give(l->charged - want);
	l->charged = want;
	return true;
}

bool
link_reserve(struct link *l, struct op *op, size_t n)
{
	if (!link_charge(l, l->cap, l->reserved + n))
		return false;
	l->reserved += n;
	op->reserved += n;
	return true;
}

void
link_unreserve(struct link *l, struct op *op)
{
	l->reserved -= op->reserved;
	op->reserved = 0;
	link_charge(l, l->cap, l->reserved);
}

static size_t
link_limit(const struct link *l)
{
	if (l->state != LINK_UP)
		return V1_REGISTER_MAX;
	return l->is_v2 ? 2 * FRAME_MAX : conf_message_limit;
}

void
link_grant(struct link *l)
{
	struct ctl_ws_credit	 credit;
	uint64_t		 upto = l->received + LINK_WINDOW;

	/* One more, so that what is too long is seen to be. */
	if (l->state != LINK_UP)
		upto = V1_REGISTER_MAX + 1;
	else if (l->granted > l->received + LINK_WINDOW / 2)
		return;
	/* One of its streams is full: nothing more until it is not. */
	else if (l->nfull > 0)
		return;
	/* What it says goes on at once: later, then. */
	else if (l->is_v2 && (peer_is_full(ROLE_FRONT) ||
	    peer_is_full(ROLE_CONTROL)))
		return;
	if (upto <= l->granted)
		return;
	credit.upto = l->granted = upto;
	chan_send(child_peer(ROLE_FRONT), CTL_WS_CREDIT, l->serial, &credit);
}

/* Grows by a quarter: mremap moves pages, not bytes, where it is large. */
static bool
link_room(struct link *l, size_t n)
{
	size_t	 cap = l->len + n;
	char	*mem;

	if (cap <= l->cap)
		return true;
	if (l->len > 0)
		cap += l->len / 4;
	if (!link_charge(l, cap, l->reserved))
		return false;
	if (l->state == LINK_UP)
		mem = realloc(l->mem, cap);
	else if ((mem = malloc(cap)) != NULL && l->mem != NULL) {
		/* realloc would leave a token behind. */
		memcpy(mem, l->mem, l->len);
		explicit_bzero(l->mem, l->cap);
		free(l->mem);
	}
	if (mem == NULL)
		return false;
	l->mem = mem;
	l->cap = cap;
	return true;
}

/* Skipped, however many: they cost their sender more than us. */
static void
link_malformed(struct link *l, const char *why)
{
	if (l->bad >= LINK_BAD_LOGGED)
		return;
	l->bad++;
	log_info("connection %llu: a message was skipped: %s%s",
	    (unsigned long long)l->serial, why, l->bad == LINK_BAD_LOGGED ?
	    "; further ones are not logged" : "");
}

/* Ids are ours and are compared whole, within this connection only. */
static struct op *
link_op(struct link *l, struct slice id)
{
	struct op *op;

	if (id.len == 0)
		return NULL;
	TAILQ_FOREACH(op, &l->ops, of_link)
		if (op->asked != V1_UNKNOWN && slice_is(id, op->id))
			return op;
	return NULL;
}

static void
link_answer(struct link *l)
{
	struct v1_message	 msg;
	const char		*why;
	char			 type[64];
	struct op		*op;

	if (v1_parse(l->mem, l->len, &msg, &why) == -1) {
		link_malformed(l, why);
		return;
	}
	if (msg.id.len == 0 ? stream_push(l, &msg) :
	    stream_input_answer(l, &msg))
		return;
	if ((op = link_op(l, msg.id)) != NULL && op->out == NULL) {
		op_answer(op, &msg);
		return;
	}
	log_debug("connection %llu: nobody waits for this %s",
	    (unsigned long long)l->serial, log_vis(type, sizeof(type),
	    msg.type_text.p, msg.type_text.len));
}

/* A whole message is in mem.  The link may be gone afterwards. */
static void
link_message(struct link *l)
{
	uint64_t serial = l->serial;

	if (l->state == LINK_NEW)
		register_message(l, l->mem, l->len);
	else if (l->is_v2)
		v2_message(l);
	else
		link_answer(l);
	if ((l = link_by_serial(serial)) == NULL)
		return;
	/* An operation that took the memory has set these. */
	free(l->mem);
	l->mem = NULL;
	l->len = l->cap = 0;
	link_charge(l, 0, l->reserved);
}

static bool
link_append(struct link *l, struct slice bytes)
{
	const char *why = "out of memory for messages";

	if (l->state == LINK_AUTH) {
		log_info("connection %llu: spoke before it was registered",
		    (unsigned long long)l->serial);
		link_close(l, 1008, "not registered yet");
		return false;
	}
	if (bytes.len > link_limit(l) - l->len)
		why = "message too big";
	else if (link_room(l, bytes.len)) {
		if (bytes.len > 0)
			memcpy(l->mem + l->len, bytes.p, bytes.len);
		l->len += bytes.len;
		return true;
	}
	log_warnx("connection %llu: %s (%zu bytes so far)",
	    (unsigned long long)l->serial, why, l->len);
	link_close(l, 1009, why);
	return false;
}

void
on_ws_data(struct chan *c, const struct msg *m)
{
	const struct ctl_ws_data *data = m->body;
	struct link		 *l = link_by_serial(m->serial);
	uint64_t		  serial = m->serial;

	if (l == NULL)		/* closed by us; front does not know yet */
		return;
	if (data->bytes.len > l->granted - l->received ||
	    data->first == l->in_message) {
		chan_refuse(c, "ws_data out of credit or out of order");
		return;
	}
	l->received += data->bytes.len;
	l->in_message = !data->fin;
	if (data->first)
		l->opcode = data->opcode;
	if (l->state == LINK_CLOSING || !link_append(l, data->bytes))
		return;
	if (data->fin)
		link_message(l);
	if ((l = link_by_serial(serial)) != NULL)
		link_grant(l);
}

void
on_bulk_ws_data(struct chan *c, const struct msg *m)
{
	const struct ctl_bulk_ws_data *data = m->body;
	struct link		 *l = link_by_serial(m->serial);
	uint64_t		  n = data->head.len + (uint64_t)data->len;

	if (l != NULL && (!l->is_v2 || l->in_message ||
	    n > l->granted - l->received)) {
		chan_refuse(c, "bulk_ws_data out of credit or out of order");
		return;
	}
	if (l != NULL)
		l->received += n;
	if (l != NULL && l->state == LINK_UP)
		v2_bulk(l, data);
	bulk_free(data->bulk);
	if ((l = link_by_serial(m->serial)) != NULL)
		link_grant(l);
}

void
bulk_free(uint64_t bulk)
{
	const struct ctl_bulk_free done = { bulk };

	chan_send(child_peer(ROLE_FRONT), CTL_BULK_FREE, 0, &done);
}

/* --- to the runner --- */

static bool
queue_add(struct link *l, struct op *op, struct buf *text, uint8_t opcode)
{
	struct outmsg *o = calloc(1, sizeof(*o));

	if (o == NULL) {
		buf_clear(text);
		return false;
	}
	o->op = op;
	o->text = *text;
	o->size = text->len;
	o->opcode = opcode;
	memset(text, 0, sizeof(*text));
	budget_force(o->size);
	TAILQ_INSERT_TAIL(&l->out, o, entry);
	if (op != NULL)
		op->out = o;
	link_flush(l);
	return true;
}

bool
link_queue(struct link *l, struct op *op, struct buf *text)
{
	return queue_add(l, op, text, 1);
}

static void
part_send(struct link *l, const struct ctl_ws_send *part)
{
	chan_send(child_peer(ROLE_FRONT), CTL_WS_SEND, l->serial, part);
	if (part->secret)
		chan_secret(child_peer(ROLE_FRONT));
	l->sent += part->bytes.len;
}

/* What may go at once needs no copy: the bulk of files and output does. */
bool
link_send_binary(struct link *l, struct slice bytes, bool secret)
{
	const struct ctl_ws_send part = { .opcode = 2, .first = true,
	    .fin = true, .bytes = bytes, .secret = secret };
	struct buf		 copy = { .secret = secret };

	if (TAILQ_EMPTY(&l->out) && bytes.len <= FRAME_CHUNK &&
	    bytes.len <= l->allowed - l->sent && !peer_is_full(ROLE_FRONT)) {
		part_send(l, &part);
		return true;
	}
	return buf_add(&copy, bytes.p, bytes.len) == 0 &&
	    queue_add(l, NULL, &copy, 2);
}

bool
link_send_bulk(struct link *l, const struct exlink_piece *piece)
{
	const struct ctl_bulk_ws_send part = { piece->bytes, piece->bulk };
	size_t n = piece->bytes.len + piece->bulk_len;

	if (!TAILQ_EMPTY(&l->out) || n > l->allowed - l->sent ||
	    peer_is_full(ROLE_FRONT))
		return false;
	chan_send(child_peer(ROLE_FRONT), CTL_BULK_WS_SEND, l->serial, &part);
	l->sent += n;
	return true;
}

static void
outmsg_free(struct link *l, struct outmsg *o)
{
	TAILQ_REMOVE(&l->out, o, entry);
	budget_give(o->size);
	buf_clear(&o->text);
	free(o);
}

bool
link_unqueue(struct link *l, struct outmsg *o)
{
	o->op = NULL;
	if (o->text.len < o->size)
		return false;	/* begun: the rest has to follow */
	outmsg_free(l, o);
	return true;
}

void
link_release(struct link *l)
{
	l->held = false;
	link_flush(l);
}

static void
link_flush(struct link *l)
{
	struct outmsg		*o;
	struct ctl_ws_send	 part = { 0 };
	struct op		*op;
	uint64_t		 n;

	while ((o = TAILQ_FIRST(&l->out)) != NULL && !l->held &&
	    l->sent < l->allowed && !peer_is_full(ROLE_FRONT)) {
		n = l->allowed - l->sent;
		if (n > FRAME_CHUNK)
			n = FRAME_CHUNK;
		if (n > o->text.len)
			n = o->text.len;
		part.opcode = o->opcode;
		part.first = o->text.len == o->size;
		part.fin = o->text.len == n;
		part.bytes = (struct slice){ buf_data(&o->text), n };
		part.secret = o->text.secret;
		part_send(l, &part);
		buf_drain(&o->text, n);
		if (!part.fin)
			continue;
		op = o->op;
		outmsg_free(l, o);
		if (op != NULL)
			op_handed(op);
	}
	if (l->state == LINK_CLOSING && TAILQ_EMPTY(&l->out))
		link_close(l, l->close_code, l->close_why);
	else if (l->v2 != NULL)
		v2_pump(l->v2);
}

void
links_flush(void)
{
	struct link *l, *next;

	for (l = TAILQ_FIRST(&links_up); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		link_flush(l);
		if (l->is_v2)
			link_grant(l);
	}
	for (l = TAILQ_FIRST(&links_pending); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		link_flush(l);
	}
}

void
on_ws_credit(struct chan *c, const struct msg *m)
{
	const struct ctl_ws_credit	*credit = m->body;
	struct link			*l = link_by_serial(m->serial);

	if (l == NULL || credit->upto <= l->allowed)
		return;
	l->allowed = credit->upto;
	link_flush(l);
}
