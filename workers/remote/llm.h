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
 * Calls of the language model of a runner of version 1: OpenAI's words on
 * front's side, llm_generate on the runner's.  Runs in: remote.  Front's body
 * is a client's, so hostile as the runner's answer is.
 */

#ifndef REMOTE_LLM_H
#define REMOTE_LLM_H

#include "workers/remote/remote.h"

#define LLM_TEXT_MAX	512

/* A call, beside its op. */
struct llm {
	uint8_t	 what;			/* enum llm_what */
	char	*model;			/* as asked for; owned */
	/* Names of what v1 does not carry and what is only a wish: told to
	 * the client, so that nothing is left out in silence. */
	char	 ignored[256];
};

/* -- llm.c */
void	 llm_on_call(struct chan *, const struct msg *);
void	 llm_on_settings(struct chan *, const struct msg *);
void	 llm_free(struct op *);
/* The body is there: ask the runner.  The op may be gone. */
void	 llm_body(struct op *);
/* Answers to V1_LLM_GENERATE and V1_LLM_MODELS. */
void	 llm_take_response(struct op *, struct v1_value *);
void	 llm_take_models(struct op *, struct v1_value *);
void	 llm_take_error(struct op *, struct v1_value *body);

/* -- llm_ask.c: a body of chat/completions, eaten, to llm_generate's body.
 * false: why, for the client; empty: no memory. */
bool	 llm_ask(struct llm *, struct jsonw *, char *text, size_t len,
	    char why[LLM_TEXT_MAX]);
void	 llm_ignore(struct llm *, const char *name);

/* -- llm_tools.c */
bool	 llm_tools(struct llm *, struct jsonw *, struct v1_value *tools,
	    char why[LLM_TEXT_MAX]);

#endif
