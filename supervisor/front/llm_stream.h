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
 * A stream of one dialect becoming one of the other: what its files share.
 * Runs in: front, control.
 */

#ifndef FRONT_LLM_STREAM_H
#define FRONT_LLM_STREAM_H

#include "supervisor/front/llm.h"

#define LLM_BLOCKS_MAX	256

struct llm_stream {
	enum llm_dialect from, to;
	bool		 wants_usage;
	struct llm_usage usage;
	bool		 begun;			/* its first event went out */
	bool		 over;			/* its last one came */
	char		 id[129], model[257];
	char		 stop[65];		/* in the client's words */
	/* from Anthropic: the tool's number of each block */
	unsigned int	 ntools;
	uint8_t		 tool_of[LLM_BLOCKS_MAX];
	bool		 bare[LLM_BLOCKS_MAX];	/* no argument came yet */
	/* from OpenAI: numbers of blocks, -1 for none */
	int		 nblocks, text, thinking;
	int		 tools[LLM_TOOLS_MAX];
};

/* One chunk of OpenAI's, from its begin into the delta, and from there. */
void	 llm_chunk_open(struct jsonw *, struct buf *, const char *id,
	    const char *model);
bool	 llm_chunk_close(struct jsonw *, const char *finish, struct buf *out);
/* The last chunk, which has usage and no choice. */
bool	 llm_chunk_usage(const char *id, const char *model,
	    const struct llm_usage *, struct buf *out);
#define LLM_CHUNKS_END	"data: [DONE]\n\n"

/* The inside of an event's data; false: rubbish. */
bool	 llm_from_anthropic(struct llm_stream *, const struct json_value *,
	    struct buf *, struct llm_why *);
bool	 llm_from_openai(struct llm_stream *, const struct json_value *,
	    struct buf *, struct llm_why *);
/* OpenAI's [DONE] */
bool	 llm_from_openai_end(struct llm_stream *, struct buf *,
	    struct llm_why *);

#endif
