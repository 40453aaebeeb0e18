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
 * What a container of docker mode is called, how it is made, and whether one
 * that is found can be used.  Runs in: xbot-runner.
 */

#ifndef RUNNER_CONTAINER_H
#define RUNNER_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"

#define CONTAINER_NAME_MAX	160	/* with NUL */
#define CONTAINER_LABEL		"xbot.runner"

struct container {
	const char	*user;		/* these are lent */
	const char	*runner;	/* "": none was given */
	const char	*image;
	const char	*workspace;	/* on the host */
	const char	*box;		/* directory for /.xbot, on the host */
	char		 name[CONTAINER_NAME_MAX];
	char		 hostname[64];
	char		 old[CONTAINER_NAME_MAX];	/* "": never was */
};

enum container_fit {
	CONTAINER_FITS,
	CONTAINER_DIFFERS,	/* ours, made from or for something else */
	CONTAINER_FOREIGN	/* not ours, or another user's */
};

/* From user, runner and workspace; false: the log said what is wrong. */
bool			 container_name(struct container *);
/* The body of a create request; image_user is of the image, "" is root. */
bool			 container_body(const struct container *,
			    const char *image_user, struct buf *);
/* Of an inspect's answer.  why is for people, "" when it fits. */
enum container_fit	 container_fit(const struct container *,
			    const struct json_value *, char *why, size_t);
/* Which member of a list's answer is called so; "" is none. */
void			 container_find(const struct container *,
			    const struct json_value *, char id[80]);

#endif
