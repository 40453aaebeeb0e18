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
 * llm_generate and llm_models of protocol v1.  Runs in: xbot-runner.  The
 * server's messages are hostile.  Owns: the requests until they are answered.
 */

#ifndef RUNNER_V1_LLM_H
#define RUNNER_V1_LLM_H

struct event_base;
struct request;

void	 v1_llm_init(struct event_base *);
void	 start_llm_generate(struct request *);
void	 start_llm_models(struct request *);
/* The connection is gone: nobody waits for an answer. */
void	 v1_llm_abandon(void);

#endif
