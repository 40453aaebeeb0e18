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
 * A container's export streamed into an image's import.  Runs in: docker.
 * Owns: a ring of bytes between two calls, and the word on whether what went
 * through was the whole.  Neither call may be paused or resumed from within
 * the other one's callbacks: that is done in the loop's next turn.
 */

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/engine_int.h"

#define RING_SIZE	(512u * 1024)
#define TAR_END		1024u	/* a tar ends in so many zero bytes */
#define ID_LEN		71	/* sha256: and 64 digits */

struct engine_pipe {
	struct engine	*engine;
	uint64_t	 source, sink;	/* their calls; 0: not there */
	struct event	*wake;
	engine_piped	*done;
	void		*arg;
	char		 image[ID_LEN + 1];
	bool		 source_waits;	/* paused: the ring is full */
	bool		 sink_waits;	/* paused: it is empty */
	bool		 whole;		/* all of the export has come */
	bool		 taken;		/* the import is done already */
	size_t		 zeros;		/* at the end of what came so far */
	uint64_t	 bytes;		/* that came */
	size_t		 first, len;
	struct buf	 changes;
	uint8_t		 ring[RING_SIZE];
};

static void	 pipe_free(struct engine_pipe *);
static void	 pipe_end(struct engine_pipe *, const struct engine_result *);
static void	 pipe_fail(struct engine_pipe *, enum xerr, const char *);
static void	 pipe_wake(struct engine_pipe *);
static void	 pipe_resume(struct engine_pipe *, uint64_t, bool *);
static bool	 pipe_sink(struct engine_pipe *);
static size_t	 zeros_at_end(const uint8_t *, size_t);
static void	 on_wake(evutil_socket_t, short, void *);
static void	 on_source(void *, const struct engine_result *);
static void	 on_sink(void *, const struct engine_result *);
static void	 on_line(void *, const struct engine_progress *);

struct engine_pipe *
engine_pipe(struct engine *e, const char *container, struct slice changes,
    engine_piped *done, void *arg)
{
	struct engine_args	 args = { .a = container };
	struct engine_pipe	*p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->engine = e;
	p->done = done;
	p->arg = arg;
	args.pipe = p;
	if ((p->wake = evtimer_new(e->base, on_wake, p)) == NULL ||
	    buf_add(&p->changes, changes.p, changes.len) == -1 ||
	    (p->source = engine_call(e, ENGINE_CONTAINER_EXPORT, &args,
	    on_source, p)) == 0) {
		pipe_free(p);
		return NULL;
	}
	return p;
}

static void
pipe_free(struct engine_pipe *p)
{
	if (p->source != 0)
		engine_cancel(p->engine, p->source);
	if (p->sink != 0)
		engine_cancel(p->engine, p->sink);
	if (p->wake != NULL)
		event_free(p->wake);
	buf_clear(&p->changes);
	free(p);
}

void
engine_pipe_cancel(struct engine_pipe *p)
{
	if (p != NULL)
		pipe_free(p);
}

static void
pipe_end(struct engine_pipe *p, const struct engine_result *res)
{
	engine_piped	*done = p->done;
	const uint64_t	 bytes = p->bytes;
	void		*arg = p->arg;
	char		 image[ID_LEN + 1];

	memcpy(image, p->image, sizeof(image));
	if (res->code != XERR_NONE)
		image[0] = '\0';
	/* A cancelled import is cut off within its body: it makes no image. */
	pipe_free(p);
	done(arg, res, image, bytes);
}

static void
pipe_fail(struct engine_pipe *p, enum xerr code, const char *text)
{
	struct engine_result	 res = { .code = code, .text = text };

	pipe_end(p, &res);
}

/* ---- the ring */

static size_t
zeros_at_end(const uint8_t *b, size_t n)
{
	size_t	 i = 0;

	while (i < n && i < TAR_END && b[n - 1 - i] == 0)
		i++;
	return i;
}

/* What does not fit is offered again once the source is resumed. */
size_t
engine_pipe_write(struct engine_pipe *p, const void *bytes, size_t n)
{
	const uint8_t	*b = bytes;
	size_t		 at = (p->first + p->len) % RING_SIZE, cut, zeros;

	if (!p->taken && n > RING_SIZE - p->len) {
		p->source_waits = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	zeros = zeros_at_end(b, n);
	p->zeros = zeros == n ? p->zeros + n : zeros;
	p->bytes += n;
	if (p->taken)
		return n;
	cut = n < RING_SIZE - at ? n : RING_SIZE - at;
	memcpy(p->ring + at, b, cut);
	memcpy(p->ring, b + cut, n - cut);
	p->len += n;
	pipe_wake(p);
	return n;
}

size_t
engine_pipe_read(struct engine_pipe *p, void *bytes, size_t n)
{
	uint8_t	*b = bytes;
	size_t	 cut;

	if (p->len == 0 && p->whole)
		return 0;
	if (p->len == 0) {
		p->sink_waits = true;
		return CURL_READFUNC_PAUSE;
	}
	if (n > p->len)
		n = p->len;
	cut = n < RING_SIZE - p->first ? n : RING_SIZE - p->first;
	memcpy(b, p->ring + p->first, cut);
	memcpy(b + cut, p->ring, n - cut);
	p->first = (p->first + n) % RING_SIZE;
	p->len -= n;
	pipe_wake(p);
	return n;
}

static void
pipe_wake(struct engine_pipe *p)
{
	static const struct timeval	 now = { 0 };

	if (p->sink == 0 || (p->sink_waits && (p->len > 0 || p->whole)) ||
	    (p->source_waits && (p->len < RING_SIZE / 2 || p->taken)))
		evtimer_add(p->wake, &now);
}

static void
pipe_resume(struct engine_pipe *p, uint64_t serial, bool *waits)
{
	struct engine_call	*call;

	*waits = false;
	TAILQ_FOREACH(call, &p->engine->running, entry)
		if (call->serial == serial)
			break;
	if (call != NULL)
		curl_easy_pause(call->easy, CURLPAUSE_CONT);
}

/* Only once there is something to import. */
static bool
pipe_sink(struct engine_pipe *p)
{
	struct engine_args	 args = { .progress = on_line, .pipe = p };

	args.changes = (struct slice){ buf_data(&p->changes),
	    p->changes.len };
	p->sink = engine_call(p->engine, ENGINE_IMAGE_IMPORT, &args, on_sink,
	    p);
	return p->sink != 0;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct engine_pipe	*p = arg;

	if (p->sink == 0 && !p->taken && !pipe_sink(p)) {
		pipe_fail(p, XERR_EBUSY, "out of memory");
		return;
	}
	if (p->sink_waits && (p->len > 0 || p->whole))
		pipe_resume(p, p->sink, &p->sink_waits);
	if (p->source_waits && (p->len < RING_SIZE / 2 || p->taken))
		pipe_resume(p, p->source, &p->source_waits);
}

/* ---- the two calls */

static void
on_source(void *arg, const struct engine_result *res)
{
	struct engine_pipe	*p = arg;

	p->source = 0;
	if (res->code != XERR_NONE)
		pipe_end(p, res);
	else if (p->zeros < TAR_END)
		pipe_fail(p, XERR_EIO, "the Docker Engine's export broke off");
	else if (p->taken)
		pipe_end(p, res);
	else {
		p->whole = true;
		pipe_wake(p);
	}
}

static void
on_sink(void *arg, const struct engine_result *res)
{
	struct engine_pipe	*p = arg;

	p->sink = 0;
	if (res->code != XERR_NONE)
		pipe_end(p, res);
	else if (p->image[0] == '\0')
		pipe_fail(p, XERR_EIO, "the Docker Engine imported nothing");
	else if (p->whole)
		pipe_end(p, res);
	else {
		/* It had read to the tar's end; what follows is padding. */
		p->taken = true;
		p->len = 0;
		pipe_wake(p);
	}
}

static void
on_line(void *arg, const struct engine_progress *line)
{
	struct engine_pipe	*p = arg;

	if (strlen(line->status) == ID_LEN &&
	    strncmp(line->status, "sha256:", 7) == 0)
		memcpy(p->image, line->status, ID_LEN + 1);
}
