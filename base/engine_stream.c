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
 * Answers that go on and on: JSON texts one after the other, as pull and
 * import send them.  Runs in: runner, docker.  Each text is bounded, the
 * whole is not.  An error comes in the stream, after status 200.
 */

#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include "base/engine_int.h"

#define TEXT_MAX	(256u * 1024)	/* bytes of one text */
#define DEPTH_MAX	16

enum part { PART_NONE, PART_ID, PART_STATUS, PART_ERROR, PART_CURRENT,
    PART_TOTAL };

struct engine_stream {
	struct engine_call	*call;		/* lent */
	yajl_handle		 yajl;
	size_t			 size;		/* of the text so far */
	unsigned int		 depth;
	bool			 detail;	/* within progressDetail */
	bool			 failed;
	enum part		 field;
	struct engine_progress	 now;
	char			 id[128];
	char			 status[ENGINE_TEXT_MAX];
	char			 error[ENGINE_TEXT_MAX];
};

static void	text_end(struct engine_stream *);
static int	on_other(void *);
static int	on_boolean(void *, int);
static int	on_number(void *, const char *, size_t);
static int	on_string(void *, const unsigned char *, size_t);
static int	on_key(void *, const unsigned char *, size_t);
static int	on_open(void *);
static int	on_close(void *);

static const yajl_callbacks	callbacks = {
	.yajl_null = on_other,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_open,
	.yajl_map_key = on_key,
	.yajl_end_map = on_close,
	.yajl_start_array = on_open,
	.yajl_end_array = on_close,
};

static const struct {
	const char	*name;
	bool		 detail;	/* within progressDetail */
	enum part	 field;
} fields[] = {
	{ "id",		false,	PART_ID },
	{ "status",	false,	PART_STATUS },
	{ "error",	false,	PART_ERROR },
	{ "current",	true,	PART_CURRENT },
	{ "total",	true,	PART_TOTAL },
};

static void
text_end(struct engine_stream *s)
{
	s->now.id = s->id;
	s->now.status = s->status;
	if (s->call->progress != NULL && s->call->done != NULL && !s->failed)
		s->call->progress(s->call->arg, &s->now);
	s->id[0] = s->status[0] = '\0';
	s->now.current = s->now.total = 0;
	s->size = 0;
}

static int
on_other(void *arg)
{
	struct engine_stream	*s = arg;

	s->field = PART_NONE;
	return 1;
}

static int
on_boolean(void *arg, int value)
{
	return on_other(arg);
}

static int
on_number(void *arg, const char *text, size_t len)
{
	struct engine_stream	*s = arg;
	uint64_t		 n = 0;

	while (len-- > 0 && *text >= '0' && *text <= '9' &&
	    n < UINT64_MAX / 16)
		n = n * 10 + (uint64_t)(*text++ - '0');
	if (s->field == PART_CURRENT)
		s->now.current = n;
	else if (s->field == PART_TOTAL)
		s->now.total = n;
	return on_other(arg);
}

static int
on_string(void *arg, const unsigned char *text, size_t len)
{
	struct engine_stream	*s = arg;

	if (s->field == PART_ID)
		engine_text(s->id, text,
		    len < sizeof(s->id) ? len : sizeof(s->id) - 1);
	else if (s->field == PART_STATUS)
		engine_text(s->status, text, len);
	else if (s->field == PART_ERROR && !s->failed) {
		s->failed = true;
		engine_text(s->error, text, len);
	}
	return on_other(arg);
}

static int
on_key(void *arg, const unsigned char *text, size_t len)
{
	struct engine_stream	*s = arg;
	size_t			 i;

	s->field = PART_NONE;
	if (s->depth == 1)
		s->detail = len == 14 && memcmp(text, "progressDetail", 14) == 0;
	if (s->depth != (s->detail ? 2u : 1u))
		return 1;
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].detail == (s->depth == 2) &&
		    strlen(fields[i].name) == len &&
		    memcmp(fields[i].name, text, len) == 0)
			s->field = fields[i].field;
	return 1;
}

static int
on_open(void *arg)
{
	struct engine_stream	*s = arg;

	s->field = PART_NONE;
	return ++s->depth <= DEPTH_MAX;
}

static int
on_close(void *arg)
{
	struct engine_stream	*s = arg;

	if (--s->depth == 0)
		text_end(s);
	return on_other(arg);
}

struct engine_stream *
engine_stream_new(struct engine_call *call)
{
	struct engine_stream	*s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->call = call;
	if ((s->yajl = yajl_alloc(&callbacks, NULL, s)) == NULL) {
		free(s);
		return NULL;
	}
	yajl_config(s->yajl, yajl_allow_multiple_values, 1);
	return s;
}

void
engine_stream_free(struct engine_stream *s)
{
	if (s == NULL)
		return;
	yajl_free(s->yajl);
	free(s);
}

enum xerr
engine_stream_feed(struct engine_stream *s, const void *p, size_t n)
{
	if (n > TEXT_MAX || (s->size += n) > TEXT_MAX)
		return XERR_E2BIG;
	return yajl_parse(s->yajl, p, n) == yajl_status_ok ? XERR_NONE :
	    XERR_EIO;
}

bool
engine_stream_whole(const struct engine_stream *s)
{
	return s->depth == 0;
}

const char *
engine_stream_error(const struct engine_stream *s)
{
	return s != NULL && s->failed ? s->error : NULL;
}
