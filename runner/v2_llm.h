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
 * Calls of the language model for a server of protocol 2: passed through as
 * they are.  Runs in: xbot-runner.  The server is not trusted: it never sees
 * the key, nor where the provider is; the provider's answer is hostile.
 */

#ifndef RUNNER_V2_LLM_H
#define RUNNER_V2_LLM_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/exec_msg.h"

struct v2_llm;

/* ended: it is over, and was answered.  NULL, code and *why: refused. */
struct v2_llm	*v2_llm_new(const struct exec_llm_call *,
		    void (*ended)(void *), void *arg, enum xerr *code,
		    const char **why);
/* Bytes of the body; false: there is no room for them. */
bool		 v2_llm_input(struct v2_llm *, struct slice);
void		 v2_llm_eof(struct v2_llm *);
/* The server takes so much of the answer. */
void		 v2_llm_credit(struct v2_llm *, uint64_t upto);
/* Closes the provider's connection; nothing is answered.  NULL is fine. */
void		 v2_llm_free(struct v2_llm *);

#endif
