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
 * The two dialects of language models' APIs, and from one into the other.
 * Runs in: front, control; pure functions of their arguments.  Input is
 * hostile on both sides.  What has no counterpart in the other dialect is
 * refused with the reason; a member that says nothing (null, false, "", [],
 * {}) may go.
 */

#ifndef FRONT_LLM_H
#define FRONT_LLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "proto/error.h"
#include "proto/jobs.h"

#define LLM_DEPTH	48		/* tools' schemas nest */
#define LLM_VALUES	262144
#define LLM_EVENT_MAX	(1024u * 1024)	/* bytes of one event of a stream */
#define LLM_TOOLS_MAX	128		/* calls in one answer */

/* Why something is refused; for people. */
struct llm_why {
	char	text[320];
};

/* As the provider counts; input without what came from its cache. */
struct llm_usage {
	bool		 known;
	uint64_t	 input, output;
	uint64_t	 cache_read, cache_written;
};

/* ---- llm_request.c, llm_to_anthropic.c, llm_to_openai.c */

/* What a request's body says that we need to know. */
struct llm_asked {
	struct slice	 model;		/* "": the configured one */
	bool		 stream;
	bool		 usage;		/* OpenAI's stream_options */
};

/* Each false: refused, why says it. */
bool	 llm_asked_read(const struct json_value *body, struct llm_asked *,
	    struct llm_why *);
/*
 * Appends the body for a provider of that dialect.  text: the body as it came;
 * model: what to ask for instead, "" for what it says.
 */
bool	 llm_request_make(enum llm_dialect client, enum llm_dialect provider,
	    const struct json_value *body, struct slice text,
	    const char *model, struct buf *, struct llm_why *);
bool	 llm_to_anthropic(const struct json_value *, const char *model,
	    struct buf *, struct llm_why *);
bool	 llm_to_openai(const struct json_value *, const char *model,
	    struct buf *, struct llm_why *);

/* What may stand at a place, and who writes it; ends with a NULL name. */
struct llm_member {
	const char	*name;
	/* NULL: somebody else has it, or it says nothing to the provider */
	bool		(*write)(struct jsonw *, const struct json_value *,
			    struct llm_why *);
};
/* A writer: what both dialects call the same. */
bool	 llm_same(struct jsonw *, const struct json_value *, struct llm_why *);
/* Runs the writers; an unknown member that says something is refused.  where
 * is put before its name. */
bool	 llm_members(struct jsonw *, const struct json_value *,
	    const struct llm_member *, const char *where, struct llm_why *);
/* null, false, "", [] and {}. */
bool	 llm_says_nothing(const struct json_value *);
bool	 llm_refuse(struct llm_why *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));
/* A value again: objects and arrays as they were written. */
void	 llm_copy(struct jsonw *, const char *key, const struct json_value *);
/*
 * OpenAI's call of a function as Anthropic's tool_use: the arguments are JSON in
 * a string there, and JSON here.  name borrows from the value.
 */
enum llm_tool { LLM_TOOL_DONE, LLM_TOOL_NO_CALL, LLM_TOOL_NO_OBJECT };
enum llm_tool llm_tool_use(struct jsonw *, const struct json_value *,
	    struct slice *name);
bool	 llm_is(const struct json_value *, const char *key, const char *);

/* ---- llm_answer.c, llm_error.c, llm_chunks.c */

void	 llm_usage_read(enum llm_dialect, const struct json_value *usage,
	    struct llm_usage *);
void	 llm_usage_write(enum llm_dialect, struct jsonw *, const char *key,
	    const struct llm_usage *);
/* Why it ended, in the other dialect's words; its own if there are none. */
const char *llm_stop(enum llm_dialect to, struct slice, char *, size_t);
/* A whole answer of a chat, or a list of models, from the other dialect. */
bool	 llm_answer_make(enum llm_dialect to, enum llm_what,
	    const struct json_value *, struct buf *, struct llm_why *);
/* An error that the provider of the other dialect answered; text is hostile. */
void	 llm_error_make(enum llm_dialect to, int status, struct slice text,
	    struct buf *);
/* One of our own. */
void	 llm_error_own(enum llm_dialect to, enum xerr, const char *,
	    struct buf *);
/* OpenAI's whole answer as its stream would have been. */
bool	 llm_answer_chunks(const struct json_value *, bool usage, struct buf *,
	    struct llm_why *);

/* ---- llm_sse.c */

struct sse_event {
	struct slice	 raw;		/* with the empty line behind it */
	struct slice	 name, data;
};

/* All-zero is a valid one; buf_clear(&s.wait) at the end. */
struct sse {
	struct buf	 wait;		/* an event that is not whole */
	size_t		 seen;		/* of it, without an end */
};

/* Events are lent to fn, false of which stops.  XERR_E2BIG: one is too long. */
enum xerr sse_feed(struct sse *, const void *, size_t,
	    bool (*fn)(void *, const struct sse_event *), void *);
/* What stands there without its end, as an event. */
enum xerr sse_end(struct sse *,
	    bool (*fn)(void *, const struct sse_event *), void *);
/* One event of ours; name may be NULL. */
bool	 sse_write(struct buf *, const char *name, const struct buf *data);

/* ---- llm_stream.c, llm_chunks.c, llm_from_openai.c */

struct llm_stream;

/* usage: an OpenAI client asked for it.  NULL: no memory. */
struct llm_stream *llm_stream_new(enum llm_dialect from, enum llm_dialect to,
	    bool usage);
void	 llm_stream_free(struct llm_stream *);
/* Appends what the client gets for it; false: the provider sent rubbish. */
bool	 llm_stream_event(struct llm_stream *, const struct sse_event *,
	    struct buf *, struct llm_why *);
/* No more comes; false: it broke off before its end. */
bool	 llm_stream_end(struct llm_stream *, struct buf *, struct llm_why *);
const struct llm_usage *llm_stream_usage(const struct llm_stream *);
/* How a stream of that dialect says that it failed. */
void	 llm_stream_error(enum llm_dialect, enum xerr, const char *,
	    struct buf *);

#endif
