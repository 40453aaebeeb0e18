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
 * The command that connects a runner: what people paste into a shell.
 * Runs in: front, control; and in tests/unit/connect_test.
 */

#ifndef FRONT_CONNECT_H
#define FRONT_CONNECT_H

#include <stdbool.h>

#include "proto/buf.h"

/* All are strings; "" is not given. */
struct connect {
	const char	*public_url;	/* no final slash */
	const char	*user;
	const char	*token;
	const char	*mode;		/* native or docker */
	const char	*docker_image;
	const char	*workspace;
	const char	*llm_provider;	/* without it the others do not count */
	const char	*llm_api_key;
	const char	*llm_model;
	const char	*llm_base_url;
};

/* Appends it, without NUL; false: no memory. */
bool	 connect_command(const struct connect *, struct buf *);

#endif
