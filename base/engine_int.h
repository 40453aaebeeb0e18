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
 * What the files of the Engine's client share; for nobody else.
 * engine.c: what is asked and what it means.  engine_http.c: curl.
 * engine_stream.c: answers that are many JSON texts.  engine_list.c: answers
 * that are an array of many elements.  engine_pipe.c: one call's answer that
 * is another one's body.
 */

#ifndef BASE_ENGINE_INT_H
#define BASE_ENGINE_INT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/curl_loop.h"
#include "base/engine.h"
#include "proto/buf.h"

struct event;
struct engine_list;
struct engine_stream;

struct engine_row {
	const char	*method;
	const char	*path;
	unsigned int	 flags;
	unsigned int	 timeout;	/* s */
	enum xerr	 conflict;	/* what status 409 means here */
};

#define ROW_UNVERSIONED	1u
#define ROW_TEXT	2u		/* the answer is no JSON */
#define ROW_STREAM	4u		/* many JSON texts, errors among them */
#define ROW_SOURCE	8u		/* a pipe takes the answer */
#define ROW_SINK	16u		/* a pipe gives the body */
#define ROW_TAR		32u		/* the body is no JSON */

struct engine_call {
	TAILQ_ENTRY(engine_call)	 entry;
	struct engine			*engine;
	uint64_t			 serial;
	const struct engine_row		*row;
	char				*path;
	struct buf			 body;
	unsigned int			 timeout_ms;
	void	(*progress)(void *, const struct engine_progress *);
	void	(*element)(void *, const struct json_value *);
	engine_done			*done;	/* NULL: cancelled */
	void				*arg;
	CURL				*easy;	/* NULL: not on its way */
	struct curl_slist		*headers;
	struct buf			 in;
	struct engine_stream		*stream;
	struct engine_list		*list;	/* for element */
	struct engine_pipe		*pipe;	/* of a source or a sink */
	enum xerr			 why;	/* we ended it: the reason */
	char				 error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(engine_calls, engine_call);

struct engine {
	struct event_base	*base;
	char			*path;
	struct curl_loop	 loop;
	struct event		*kick;		/* there are calls to start */
	struct engine_calls	 waiting;	/* not with curl yet */
	struct engine_calls	 running;
	uint64_t		 serial;
	bool			 asking;	/* for the version */
	char			 api[16];	/* "": not known */
	unsigned int		 busy;		/* within callbacks */
	bool			 dead;		/* free when no longer busy */
};

/* engine.c */
void	 engine_finish(struct engine_call *, CURLcode, long status);
void	 engine_call_free(struct engine_call *);
/* Control characters become blanks; cut to ENGINE_TEXT_MAX. */
void	 engine_text(char *dst, const void *src, size_t len);

/* engine_http.c */
bool	 engine_http_init(struct engine *);
void	 engine_http_clear(struct engine *);
bool	 engine_http_start(struct engine_call *);
void	 engine_http_stop(struct engine_call *);

/* engine_pipe.c, as curl's callbacks */
size_t	 engine_pipe_write(struct engine_pipe *, const void *, size_t);
size_t	 engine_pipe_read(struct engine_pipe *, void *, size_t);

/* engine_list.c */
struct engine_list	*engine_list_new(struct engine_call *);
void			 engine_list_free(struct engine_list *);
/* XERR_NONE: go on. */
enum xerr		 engine_list_feed(struct engine_list *, const void *,
			    size_t);
/* The array's end has come. */
bool			 engine_list_whole(const struct engine_list *);

/* engine_stream.c */
struct engine_stream	*engine_stream_new(struct engine_call *);
void			 engine_stream_free(struct engine_stream *);
/* XERR_NONE: go on. */
enum xerr		 engine_stream_feed(struct engine_stream *,
			    const void *, size_t);
/* It did not break off within a text. */
bool			 engine_stream_whole(const struct engine_stream *);
/* The error that came among the texts, NULL if there was none. */
const char		*engine_stream_error(const struct engine_stream *);

#endif
