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
 * Requests in progress: from the server's message to the executor's last
 * word, found by the job id that travels between.  Runs in: xbot-runner.
 */

#ifndef RUNNER_OP_H
#define RUNNER_OP_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/v1.h"
#include "proto/buf.h"
#include "proto/msg.h"

struct chan;
struct evbuffer;
struct fetch;
struct stream;

#define OP_MAX		1024	/* at once; a server has no use for more */
#define OP_ID_MAX	4096	/* bytes of a request id, echoed as it is */

struct op {
	LIST_ENTRY(op)	 entry;
	struct id16	 job;
	enum v1_type	 type;
	char		*id;		/* of the request; owned */
	size_t		 idlen;
	uint64_t	 start_ms;
	/* Handles the executor's answers; NULL: v1_out does. */
	void		(*answer)(struct op *, struct chan *,
			    const struct msg *);
	bool		 stays;		/* with whoever made it: op_any passes */
	struct id16	 target;	/* the task this is about */
	struct stream	*stream;	/* borrowed */
	struct fetch	*fetch;		/* borrowed */

	/* Input, in place: base64 is decoded to where it stood. */
	struct buf	 text;		/* the message, charged; may be empty */
	char		*in;		/* a view of text */
	size_t		 in_raw;	/* bytes ready to be sent */
	size_t		 in_b64;	/* characters that follow ... */
	size_t		 in_b64_at;	/* ... from here on */
	struct base64_dec dec;
	uint8_t		 in_stream;
	bool		 in_eof;	/* said */
	uint64_t	 in_sent;
	uint64_t	 in_credit;

	/* Output, charged: stdout and stderr; or a file, a listing. */
	struct evbuffer	*out[2];
	uint64_t	 got[2];	/* offset of the stream */
	uint64_t	 credit[2];
	uint64_t	 dropped[2];

	/* Of task_info. */
	bool		 running;
	uint8_t		 how;
	int32_t		 code;

	/* Of file_info; its name is in out[0]. */
	bool		 informed;	/* or of task_info */
	uint64_t	 size;
	uint32_t	 mode;
	int64_t		 mtime_ns;
};

/*
 * NULL: there are OP_MAX, or the executor is down.  Aborts when out of memory.
 */
struct op	*op_new(enum v1_type, struct slice id);
/* Answers are for nobody any more.  Gives back what was charged. */
void		 op_free(struct op *);
struct op	*op_find(const struct id16 *);
/* Any one that does not stay; NULL when there is none. */
struct op	*op_any(void);
/* Any one whose answers this handles. */
struct op	*op_answered_by(void (*)(struct op *, struct chan *,
		    const struct msg *));
struct slice	 op_id(const struct op *);
/* Appends to out[i]; false when the budget is used up. */
bool		 op_collect(struct op *, unsigned int i, const void *, size_t);

#endif
