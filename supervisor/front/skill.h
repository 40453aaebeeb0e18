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
 * The skill runner's routes, as api.c and main.c see them.  Runs in: front.
 */

#ifndef FRONT_SKILL_H
#define FRONT_SKILL_H

#include "supervisor/front/front.h"

/* A request on the skill runner's listener: its answer, or its run. */
void	 skill_dispatch(struct req *, struct http_req *);

/* Rules of the edge to skill. */
extern const struct rules skill_rules;

/* conf_front_skill: counts from skill_commit() on. */
void	 skill_on_conf(struct chan *, const struct msg *);
void	 skill_commit(void);

#endif
