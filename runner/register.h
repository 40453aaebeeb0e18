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
 * The first exchange with a server.  Runs in: xbot-runner.
 */

#ifndef RUNNER_REGISTER_H
#define RUNNER_REGISTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/v1.h"

struct ws;

struct registration {
	const char	*user_id;
	const char	*token;
	const char	*workspace;	/* canonical */
	const char	*shell;
	const char	*name;		/* protocol 2 only; "": none */
};

/* Sends the register message. */
void		 register_send(struct ws *, const struct registration *,
		    bool v2);

enum register_answer {
	REGISTER_OK,
	REGISTER_REFUSED,
	REGISTER_UNREADABLE
};

#define REGISTER_CODE_MAX	64

/*
 * Reads the answer, which is written to.  Refused: code is set, and the log has
 * a line with advice unless code was the same already.
 */
enum register_answer	register_read(char *, size_t,
			    char code[REGISTER_CODE_MAX]);

#endif
