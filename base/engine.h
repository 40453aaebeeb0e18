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
 * Client of a Docker Engine's API over its unix socket.  Runs in: runner,
 * docker.  Trusts: the Engine to be what the administrator installed, not its
 * answers, which are bounded and checked.  Knows no container of ours.
 *
 * Everything is asynchronous.  A call's done is called once, from the loop,
 * never from within engine_call; after engine_cancel or engine_free it is not
 * called at all.  The API's version is negotiated before the first call.
 */

#ifndef BASE_ENGINE_H
#define BASE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "proto/error.h"

struct event_base;
struct engine;
struct engine_pipe;

#define ENGINE_SOCKET		"/var/run/docker.sock"
#define ENGINE_ANSWER_MAX	(4u * 1024 * 1024)
#define ENGINE_TEXT_MAX		512	/* bytes of an error's text, with NUL */
#define ENGINE_REF_MAX		512	/* bytes of an argument, with NUL */

/* What %a and %b are is said in engine.c's table of calls. */
enum engine_op {
	ENGINE_PING,			/* is it there at all; short limit */
	ENGINE_VERSION,
	ENGINE_INFO,
	ENGINE_IMAGE_INSPECT,		/* a: image */
	ENGINE_IMAGE_PULL,		/* a: repository, b: tag or digest */
	ENGINE_CONTAINER_CREATE,	/* a: name; body */
	ENGINE_CONTAINER_START,		/* a: container; started is fine */
	ENGINE_CONTAINER_STOP,		/* a: container, b: seconds */
	ENGINE_CONTAINER_KILL,		/* a: container, b: signal */
	ENGINE_CONTAINER_INSPECT,	/* a: container */
	ENGINE_CONTAINER_REMOVE,	/* a: container, b: "1" is by force */
	ENGINE_CONTAINER_RENAME,	/* a: container, b: new name */
	ENGINE_CONTAINER_LIST,		/* a: label or label=value */
	ENGINE_CONTAINER_PAUSE,		/* a: container */
	ENGINE_CONTAINER_UNPAUSE,	/* a: container */
	ENGINE_CONTAINER_CHANGES,	/* a: container */
	ENGINE_IMAGE_LIST,		/* a: label or label=value */
	ENGINE_IMAGE_TAG,		/* a: image, b: repository; :latest */
	ENGINE_IMAGE_REMOVE,		/* a: image; in use is EBUSY */
	ENGINE_CONTAINER_EXPORT,	/* these two are engine_pipe's alone */
	ENGINE_IMAGE_IMPORT,
	ENGINE_CONTAINER_PUT,		/* a: container; body: a tar for / */
	ENGINE_EXEC_CREATE,		/* a: container; body */
	ENGINE_EVENTS,			/* a: label of containers; progress has id
					 * and status; ends with the Engine */
	ENGINE_OP_MAX
};

/* Lent until done returns. */
struct engine_result {
	enum xerr			 code;	/* XERR_NONE: it worked */
	int				 status;	/* HTTP's, 0: none came */
	/* For people, never NULL; the Engine's own words if it had any. */
	const char			*text;
	const struct json_value		*body;	/* NULL: none */
};

/* One line of a streamed answer.  Absent texts are "", numbers 0. */
struct engine_progress {
	const char	*id;
	const char	*status;
	uint64_t	 current;
	uint64_t	 total;
};

struct engine_args {
	const char	*a, *b;		/* NULL is "" */
	struct slice	 body;		/* JSON, or a tar; copied */
	struct slice	 changes;	/* see engine_pipe */
	struct engine_pipe *pipe;	/* engine_pipe.c's own */
	unsigned int	 timeout_ms;	/* 0: what the table says */
	void		(*progress)(void *, const struct engine_progress *);
	/* Of an answer that is a list: each element as it comes, lent until
	 * it returns.  Then done has no body, and the list may be longer
	 * than ENGINE_ANSWER_MAX; it may fail in its middle. */
	void		(*element)(void *, const struct json_value *);
};

typedef void	engine_done(void *, const struct engine_result *);

/* path is copied.  NULL and errno. */
struct engine	*engine_new(struct event_base *, const char *path);
/* Also from within done.  NULL is fine. */
void		 engine_free(struct engine *);
/* args are copied.  The call's number; 0: out of memory. */
uint64_t	 engine_call(struct engine *, enum engine_op,
		    const struct engine_args *, engine_done *, void *arg);
/* A number that is gone is fine. */
void		 engine_cancel(struct engine *, uint64_t);
/* "1.41"; "" until it is known. */
const char	*engine_api(const struct engine *);

/*
 * A container's root as a new image without a name: export streamed into
 * import, at most half a MiB of it in this process.  changes: lines of a
 * Dockerfile for the new image, each with a NUL behind it; copied.  done is
 * called once, image being its id ("sha256:...") or "" on failure, bytes how
 * many went through; then the pipe is gone.  An export that broke off makes
 * no image.  NULL: no memory.
 */
typedef void	engine_piped(void *, const struct engine_result *,
		    const char *image, uint64_t bytes);
struct engine_pipe *engine_pipe(struct engine *, const char *container,
		    struct slice changes, engine_piped *, void *arg);
/* done is not called any more.  NULL is fine. */
void		 engine_pipe_cancel(struct engine_pipe *);

/*
 * name[:tag][@digest] as pull wants it: without a tag it would fetch them all.
 * false: no image's name, or longer than ENGINE_REF_MAX.
 */
bool		 engine_ref_split(const char *ref, char name[ENGINE_REF_MAX],
		    char tag[ENGINE_REF_MAX]);

#endif
