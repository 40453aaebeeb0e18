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
 * One session towards a backend, for one request: exec.def messages under
 * its serial.  Runs in: front, control.
 */

#ifndef FRONT_SESSION_H
#define FRONT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/exec_msg.h"
#include "supervisor/front/front.h"
#include "supervisor/front/routes.h"

struct session;

struct session_ops {
	/* One of exec.def's messages about this session's job. */
	void	(*on_msg)(struct session *, struct req *, const struct msg *);
	/*
	 * Over without an end of its own: the worker died, the runner went,
	 * the deadline passed.  The session is freed behind this.
	 */
	void	(*on_lost)(struct session *, struct req *, enum xerr,
		    const char *text);
};

/*
 * Opens it where the decision says (that has code XERR_NONE).  NULL: the
 * request has been answered.  It belongs to the request: session_drop it in
 * close() if it is still there.
 */
struct session	*session_open(struct req *, const struct route_decision *,
		    const struct session_ops *);
/* Done, or not wanted any more: tells the worker and frees.  NULL is fine. */
void	 session_drop(struct session *);
/* false: it could not be encoded, or the worker just went. */
bool	 session_send(struct session *, uint16_t type, const void *body);
/* on_lost(ETIMEDOUT) unless it is called again within ms; longer where the
 * worker keeps deadlines itself because it sees more than we do.  0: none. */
void	 session_deadline(struct session *, unsigned int ms);
/* It outlives its request: from now on its callbacks get NULL for that, and
 * it belongs to own, which is not NULL. */
void	 session_detach(struct session *, void *own);
void	*session_own(const struct session *);
/* The same for later, into a buf: its frames, sent with all that is in it. */
bool	 session_encode(struct session *, struct buf *, uint16_t type,
	    const void *body);
void	 session_send_frames(struct session *, struct buf *);
/* It has had an effect, as a job_start that was sent may have: its loss is
 * EIO, which nobody repeats without a thought, and no more EOFFLINE. */
void	 session_started(struct session *);
/* A fresh job id; messages about other jobs are dropped. */
struct id16 session_job(struct session *);
/* It is another one's turn, which session_job made before. */
void	 session_set_job(struct session *, struct id16);
const struct route_decision *session_where(const struct session *);

/* --- edges --- */
extern const struct rules session_rules, remote_rules, sandbox_rules,
    llm_rules;
unsigned int session_count(void);

#endif
