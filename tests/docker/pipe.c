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
 * A commit's middle alone, for tests and bench: the container's root becomes
 * an image with another image's metadata.
 *
 * usage: pipe SOCKET CONTAINER IMAGE
 * Prints the new image's id, then how many values were lost; or says why not.
 */

#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/engine.h"
#include "workers/docker/meta.h"

static struct event_base	*base;
static struct engine		*engine;
static struct buf		 changes;
static const char		*container;
static unsigned int		 lost;
static int			 status = 1;

static void
piped(void *arg, const struct engine_result *res, const char *image,
    uint64_t bytes)
{
	if (res->code == XERR_NONE) {
		printf("%s %u\n", image, lost);
		status = 0;
	} else
		printf("%s\n", res->text);
	event_base_loopbreak(base);
}

static void
inspected(void *arg, const struct engine_result *res)
{
	if (res->code != XERR_NONE || !meta_changes(&changes,
	    json_find(res->body, "Config"), &lost) ||
	    !meta_label(&changes, META_LABEL "commit", "test") ||
	    engine_pipe(engine, container, (struct slice){
	    buf_data(&changes), changes.len }, piped, NULL) == NULL) {
		printf("%s\n", res->text);
		event_base_loopbreak(base);
	}
}

int
main(int argc, char *argv[])
{
	struct engine_args	 args = { 0 };

	if (argc != 4)
		return 2;
	container = argv[2];
	args.a = argv[3];
	base = event_base_new();
	engine = engine_new(base, argv[1]);
	engine_call(engine, ENGINE_IMAGE_INSPECT, &args, inspected, NULL);
	event_base_dispatch(base);
	engine_free(engine);
	event_base_free(base);
	buf_clear(&changes);
	return status;
}
