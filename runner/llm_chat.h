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
 * llm_generate of protocol v1 in the words of a provider, and its answer back.
 * Runs in: xbot-runner.  The server's message and the provider's answer are
 * hostile: types are checked, what does not fit is refused.  Knows no socket.
 */

#ifndef RUNNER_LLM_CHAT_H
#define RUNNER_LLM_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/v1.h"

#define LLM_WHY_MAX	160
#define LLM_TOKENS	32768	/* asked for, when the model gives as many */

/* What is asked for: views of the message, which is read once. */
struct llm_chat {
	const char	*model;
	const char	*base_url;	/* whose thinking is it? */
	struct v1_value	 messages, tools;
	struct slice	 thinking;
};

enum llm_usage {
	USAGE_PROMPT, USAGE_COMPLETION, USAGE_TOTAL, USAGE_HIT,
	USAGE_CREATION, USAGE_MAX
};

#define LLM_TOOLS_MAX	128	/* calls in one answer */

struct llm_tool {
	struct buf	 id, name, arguments;
};

/* An answer, whole or as it is put together; all-zero is an empty one. */
struct llm_answer {
	struct buf	 content, reasoning;
	struct llm_tool	 tools[LLM_TOOLS_MAX];
	size_t		 ntools;
	char		 finish[64];
	int64_t		 usage[USAGE_MAX];
};

struct llm_backend {
	/*
	 * The request's members but for the limit of tokens, behind which they
	 * stand, and the closing bracket.  false: refused, see why.
	 */
	bool	 (*write)(struct llm_chat *, struct buf *,
		    char why[LLM_WHY_MAX]);
	/* The whole body of a 200; NULL, or what is wrong (a literal). */
	const char *(*read)(struct llm_answer *, char *, size_t);
	/* The data of one event of a stream; NULL: not expected. */
	const char *(*event)(struct llm_answer *, char *, size_t);
	/* Tokens that this model gives at most. */
	unsigned int (*tokens)(const char *model);
	/* Called again: when the provider failed. */
	unsigned int retries;
};

extern const struct llm_backend llm_openai, llm_anthropic;

/* -- llm_chat.c: what both need */
struct llm_message {
	enum llm_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT,
	    CHAT_TOOL } role;
	struct slice	 content, reasoning, tool_call_id;
	struct v1_value	 tool_calls;	/* an array, or absent */
	bool		 hint;		/* cache_hint: static */
};

/* The next of chat->messages; 0 at the end, -1: refused. */
int	 llm_message_next(struct v1_value *messages, struct llm_message *,
	    char why[LLM_WHY_MAX]);
/* The next of tool_calls; the same. */
int	 llm_call_next(struct v1_value *calls, struct slice *id,
	    struct slice *name, struct slice *arguments,
	    char why[LLM_WHY_MAX]);
/* Is there a Markdown image with a data URL in it?  Then the text before it
 * and the URL; *text becomes what is behind it. */
bool	 llm_image_next(struct slice *text, struct slice *before,
	    struct slice *url);
/*
 * "tools", left out when there are none.  Each in a member of its own that is
 * called type, which may be NULL; its schema is called schema.
 */
bool	 llm_tools_write(struct jsonw *, struct v1_value *tools,
	    const char *type, const char *schema, char why[LLM_WHY_MAX]);
/* The last of a request; false: no memory for all of it. */
bool	 llm_write_end(struct jsonw *, char why[LLM_WHY_MAX]);

/* -- llm_answer.c */
void	 llm_answer_clear(struct llm_answer *);
/* The tool call of that index, made when it is the next; NULL: it is not. */
struct llm_tool *llm_answer_tool(struct llm_answer *, size_t);
/* false: no memory. */
bool	 llm_add(struct buf *, struct slice);
void	 llm_finish(struct llm_answer *, struct slice);
/* Reads an integer member that is none of ours to trust; else leaves it. */
void	 llm_count(const struct v1_value *, int64_t *);
/* LLMResponse, complete; false: no memory. */
bool	 llm_answer_write(struct llm_answer *, struct buf *);
/* A whole event stream, taken apart in place; NULL or what is wrong. */
const char *llm_events_read(const struct llm_backend *, struct llm_answer *,
	    char *, size_t);

#endif
