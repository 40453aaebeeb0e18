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
 * The language model of whoever runs this: its settings, and calls of its
 * provider.  Runs in: xbot-runner.  Owns the key, which goes to the provider
 * and nowhere else.  The server may have calls made and choose the model; it
 * chooses where to only together with a key of its own.
 */

#ifndef RUNNER_LLM_H
#define RUNNER_LLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/http_client.h"
#include "proto/error.h"
#include "proto/jobs.h"
#include "proto/msg.h"

struct event_base;
struct exec_llm_settings;
struct options;

#define LLM_CALLS_MAX	256		/* at once, of both protocols */
#define LLM_CHAT_S	300		/* until a v1 call is given up */
#define LLM_LIST_S	8		/* a server waits 10 for the models */
#define LLM_MODEL_MAX	256
#ifndef LLM_SECOND_MS			/* shorter in tests */
#define LLM_SECOND_MS	1000		/* of a call's limits */
#endif

/* -- llm.c */
/* false: why was logged.  options are not needed any more afterwards. */
bool		 llm_init(struct event_base *, const struct options *);
void		 llm_clear(void);
/* Is there one?  Then: */
bool		 llm_on(void);
/* "openai", "anthropic"; "" when there is none. */
const char	*llm_provider(void);
enum llm_dialect llm_dialect(void);
const char	*llm_base_url(void);
/* What a call without a model gets; may be "". */
const char	*llm_model(void);
/* What the server is told at registration: that, or the first of the list. */
const char	*llm_registered(void);
/* XERR_NONE, or *why (a literal). */
enum xerr	 llm_change(const struct exec_llm_settings *,
		    const char **why);
/*
 * Calls the provider.  headers: exec.def's, or NULL; body is taken, NULL for
 * none.  first_s, idle_s: as in struct http_request; 0: the caller has a limit
 * of his own.  NULL and *why (a literal): too many, out of memory, no such
 * thing.
 */
struct http_call *llm_send(enum llm_what, const struct slices *headers,
		    struct buf *body, unsigned int first_s,
		    unsigned int idle_s, const struct http_ops *, void *arg,
		    const char **why);
/* Ends a call that llm_send began.  NULL is fine. */
void		 llm_free(struct http_call *);

/* -- llm_list.c: the models that the provider has */
/* Asked for at the start; ready comes once, when it is known what to tell the
 * server, after 15 s at most; maybe at once. */
void		 llm_list_start(struct event_base *, void (*ready)(void));
/* The settings are others: what was known is nothing. */
void		 llm_list_forget(void);
struct llm_list;
/* Asked again; done comes once, with the code of what failed.  NULL: no. */
struct llm_list	*llm_list_ask(unsigned int seconds, void (*done)(void *,
		    enum xerr, const char *text), void *arg);
void		 llm_list_cancel(struct llm_list *);
/* What is known: the model in use first, no name twice; NULL behind the end. */
const char	*llm_list_at(size_t);

#endif
