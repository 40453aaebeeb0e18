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
 * The link layer of protocol xbot.exec.v2: frames of exec.def between a runner
 * and the remote worker that survive the loss of their connection.  Each side
 * counts the frames it made and took, keeps what the other has not taken yet,
 * and sends it again on the next connection.  Runs in: xbot-runner, remote.
 * Knows no socket and no clock.  Input is hostile: counts are checked.
 *
 * A connection:
 *	both send hello, the runner resume{its link, taken}
 *	the server answers resume{link, taken}; or, when it does not know that
 *	link, {0, 0}: it adopts the id, both start anew (exlink_init) and the
 *	runner says ack{0}.  A server forgets a link that was adopted on a
 *	connection which ended before anything came (!confirmed): the runner
 *	may not have heard that it was new
 *	then exlink_resume() on both sides; from here on frames flow
 * A binary WebSocket message holds one or more whole frames with their
 * lengths (exlink_cut).
 */

#ifndef BASE_EXLINK_H
#define BASE_EXLINK_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/msg.h"

#define EXLINK_PROTOCOL	"xbot.exec.v2"	/* Sec-WebSocket-Protocol */
#ifndef EXLINK_GRACE_S			/* shorter in tests */
#define EXLINK_GRACE_S	300		/* away this long: it is lost */
#endif
/* A binary message, at most: one frame and its length is always allowed. */
#define EXLINK_BATCH	(64u * 1024)
#define EXLINK_HEAD	256	/* bytes before bulk, at most */
/* Kept: from SOFT on no more credit is given, HARD loses the link. */
#define EXLINK_SOFT	(16u * 1024 * 1024)
#define EXLINK_HARD	(64u * 1024 * 1024)
/* When an acknowledgement is due. */
#define EXLINK_ACK_FRAMES	64
#define EXLINK_ACK_BYTES	(256u * 1024)
#define EXLINK_ACK_MS		200

/* Frames kept in one piece of memory: small ones together, a large one alone. */
struct exlink_part {
	TAILQ_ENTRY(exlink_part)	 entry;
	struct buf			 frames;	/* whole ones; or one */
	/* without its bytes, which somebody else keeps under this number: */
	uint64_t			 bulk;		/* 0: whole ones */
	size_t				 bulk_len;
	struct id16			 job;
};

TAILQ_HEAD(exlink_parts, exlink_part);

struct exlink {
	struct id16	 id;
	uint64_t	 sent;		/* counted frames that we made */
	uint64_t	 acked;		/* of these, known to be taken */
	uint64_t	 taken;		/* the peer's, that we took */
	uint64_t	 said;		/* of these, acknowledged */
	size_t		 unsaid;	/* bytes taken since then */
	struct exlink_parts kept;	/* frames acked .. sent */
	size_t		 kept_len;	/* their bytes */
	size_t		 kept_size;	/* the memory that they take */
	/* Of these, on this connection: */
	uint64_t	 out;		/* frames up to here were written, */
	struct exlink_part *next;	/* these are to be (NULL: all were), */
	size_t		 written;	/* of which so many bytes were */
	bool		 up;		/* resumed on this connection */
	bool		 confirmed;	/* something came since it began */
	/* Bulk that is needed no more; set by who sends any, behind init. */
	void		(*bulk_free)(uint64_t);
};

/* What is to be written: bytes, and behind them bulk (0: none). */
struct exlink_piece {
	struct slice	 bytes;
	uint64_t	 bulk;
	size_t		 bulk_len;
	bool		 secret;	/* there may be one in it */
};

/* A link that begins; forgets whatever this was.  All-zero may be cleared. */
void		 exlink_init(struct exlink *, const struct id16 *);
void		 exlink_clear(struct exlink *);
bool		 id16_is_zero(const struct id16 *);

/* hello, unsupported, bye, ping, pong, ack, resume are not counted. */
bool		 exlink_counts(uint16_t type);

/*
 * Keep a counted message for the peer (serial 0), whether connected or not.
 * false, errno EMSGSIZE: a field over its maximum, nothing was done; else
 * (ENOBUFS, ENOMEM) the link cannot go on and is to be given up.
 */
bool		 exlink_send(struct exlink *, uint16_t type, const void *body);
/* The same for one that is encoded, with its length; takes the buf. */
bool		 exlink_send_frame(struct exlink *, struct buf *frame);
/*
 * The same for job_data whose bytes are kept by somebody else under a number:
 * len of them, FRAME_BULK at least.
 */
struct exec_job_data;
bool		 exlink_send_bulk(struct exlink *,
		    const struct exec_job_data *head, uint64_t bulk,
		    size_t len);
/*
 * Who kept them is gone: what was not yet taken of them becomes job_cancel.
 * false: out of memory, the link cannot go on.
 */
bool		 exlink_bulk_lost(struct exlink *);
/* Over EXLINK_SOFT: grant no more credit to whoever produces. */
bool		 exlink_is_full(const struct exlink *);
/*
 * A message for the present connection, whole frames, at most EXLINK_BATCH or
 * one frame; false when all is written or the link is not up.  Lends until the
 * next call here; exlink_wrote() once it is queued.
 */
bool		 exlink_pending(const struct exlink *, struct exlink_piece *);
void		 exlink_wrote(struct exlink *, const struct exlink_piece *);

/* The connection has ended. */
void		 exlink_down(struct exlink *);
/*
 * The peer's resume named this link, or both have begun it anew: go on behind
 * what it took.  false: an impossible count; the link is to begin anew.
 */
bool		 exlink_resume(struct exlink *, uint64_t taken);
/* The peer's ack.  false: an impossible count, a fault of the peer. */
bool		 exlink_ack(struct exlink *, uint64_t taken);

/*
 * The next frame of a binary message, without its length: 1, or 0 at the end,
 * -1 when what is left is no whole frame.
 */
int		 exlink_cut(struct slice *message, const uint8_t **, size_t *);
/*
 * Check, decode and count one frame that `from` sent: 1; 0 when its type is
 * unknown (answer `unsupported`, m->type is set); -1 and *why: refuse it.
 * m borrows from the frame and the reader.
 */
int		 exlink_take(struct exlink *, struct msg_reader *,
		    uint32_t from, const uint8_t *, size_t, struct msg *,
		    const char **why);
/*
 * The same for a message that is one frame of job_data, with its length, whose
 * last len bytes stay elsewhere: m's body has none.
 */
int		 exlink_take_bulk(struct exlink *, struct msg_reader *,
		    uint32_t from, struct slice head, size_t len,
		    struct msg *m, const char **why);
/* An ack should be sent at once; within EXLINK_ACK_MS. */
bool		 exlink_ack_due(const struct exlink *);
bool		 exlink_ack_owed(const struct exlink *);
/* What to say in ack or resume; it counts as said. */
uint64_t	 exlink_say(struct exlink *);

#endif
