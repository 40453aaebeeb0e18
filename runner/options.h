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
 * The command line of xbot-runner.  Runs in: xbot-runner.  Trusts: the user
 * who typed it.  Owns: every string of struct options.
 */

#ifndef RUNNER_OPTIONS_H
#define RUNNER_OPTIONS_H

#include <stdbool.h>

struct options {
	char	*server;
	char	*token;
	char	*token_file;
	char	*user_id;
	char	*name;
	char	*workspace;
	char	*mode;
	char	*docker_image;
	char	*ca_file;
	char	*llm_provider;
	char	*llm_base_url;
	char	*llm_api_key;
	char	*llm_api_key_file;
	char	*llm_model;
	bool	 full_control;
	bool	 verbose;
	bool	 once;
};

enum options_result {
	OPTIONS_OK,
	OPTIONS_HELP,		/* usage was printed, exit 0 */
	OPTIONS_BAD		/* why was printed, exit 2 */
};

/*
 * Reads argv as Go's flag package does: one dash or two, `=` or a space, bools
 * only with `=`, the last one wins.  Secrets are copied and then overwritten in
 * argv, also when a later argument is bad.  Never given strings are "".
 */
enum options_result	options_parse(struct options *, int, char *[]);
void			options_clear(struct options *);

#endif
