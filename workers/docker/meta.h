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
 * An image's configuration as an import's `changes`.  Runs in: docker.
 * An import makes an image of files alone; what the image before it said of
 * its command, environment, labels and so on is said again, in lines of a
 * Dockerfile.
 */

#ifndef DOCKER_META_H
#define DOCKER_META_H

#include <stdbool.h>

#include "base/json.h"
#include "proto/buf.h"

/* Labels of ours begin like this; an image's own are not carried on. */
#define META_LABEL	"xbot.image."

/*
 * Adds the lines, each with a NUL behind it.  config: "Config" of an image's
 * inspection.  lost: how many values no line can say, as an ENV with a
 * newline in it.  false: no memory.
 */
bool	 meta_changes(struct buf *, const struct json_value *config,
	    unsigned int *lost);
/* One LABEL more. */
bool	 meta_label(struct buf *, const char *key, const char *value);

#endif
