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
 * Containers whose first process is our executor: how they are made, and what
 * an inspect says of one.  Runs in: xbot-runner, docker.  Knows no name, no
 * user and no policy: those are the caller's.
 */

#ifndef BASE_CONTAINER_H
#define BASE_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

struct container_label {
	const char	*key, *value;
};

/* All lent.  Zero and NULL leave a thing to the Engine. */
struct container_spec {
	const char			*image;
	const char			*hostname;
	const char			*image_user;	/* of the image, for jobs */
	const char			*workspace;	/* on the host */
	const char			*box;		/* likewise; NULL: none */
	const struct container_label	*labels;	/* the last key is NULL */
	const char *const		*capdrop;	/* the last is NULL */
	bool				 stays;	/* the executor's -r */
	uint64_t			 memory;	/* bytes, no swap */
	uint32_t			 millicpus;
	uint32_t			 pids;
	const char			*network;
	bool				 no_new_privileges;
};

/* id as it is if it matches [a-z0-9]+([._-][a-z0-9]+)*, as images must be
 * called, else x-- and base32: no two ids the same.  Cut to len. */
void	 container_encode(char *dst, size_t len, const char *id);
/* The most of a name that may be a host's. */
void	 container_hostname(char dst[64], const char *name);
/* The body of a create request; false: out of memory. */
bool	 container_spec_body(const struct container_spec *, struct buf *);
/* Of an inspect's answer; source NULL is any.  code: of one that has ended. */
bool	 container_label_is(const struct json_value *, const char *key,
	    const char *value);
bool	 container_mount_is(const struct json_value *, const char *target,
	    const char *source);
bool	 container_runs(const struct json_value *, int *code);

#endif
