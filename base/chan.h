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
 * A channel: one stream socket between two of our processes, or to an
 * executor, that carries messages and descriptors.  Runs in: every process.
 *
 * A channel is always read; it has no pause.  Flow control is credit per job,
 * so what can pile up is bounded by what was granted; CHAN_OUT_MAX is the
 * bound of last resort, and passing it is a fault of ours or of the peer.
 *
 * A channel that fails (end of file, a frame that does not parse, a message
 * out of place, a full queue) calls its rules' closed() once; from then on sends
 * are dropped.  The owner frees it there or later; chan_free is safe inside
 * handlers and closed().
 */

#ifndef BASE_CHAN_H
#define BASE_CHAN_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/msg.h"

struct event_base;
struct chan;

#define CHAN_OUT_MAX	(64u * 1024 * 1024)
#define CHAN_HIGH	(1024u * 1024)	/* chan_is_full from here on */

/*
 * What may arrive, from whom, in which state, and who handles it: checked in
 * this order before a handler runs.  states is a bit mask; chan_set_state
 * takes one bit; a channel starts in state 1.
 */
struct rule {
	uint16_t	 type;
	uint32_t	 states;
	void		(*handler)(struct chan *, const struct msg *);
};

#define STATES_ALL	UINT32_MAX

struct rules {
	const struct rule	*v;
	size_t			 n;
	uint32_t		 from;	/* FROM_ bits of the peer */
	/*
	 * Other side gone or channel unusable; why is text for the log.
	 * protocol: the peer broke the protocol, rather than just went.
	 */
	void			(*closed)(struct chan *, const char *why,
				    bool protocol);
};

/* A socketpair for a channel, both ends closed by exec; -1 and errno. */
int		 chan_pair(int sv[2]);

/*
 * takes fd (also on failure); rules are lent for life; name is copied and is for
 * the log.  arg is what chan_arg returns.  exec.def and ctl.def are both spoken;
 * the rules say which of them.  NULL and errno.
 */
struct chan	*chan_new(struct event_base *, int fd, const char *name,
		    const struct rules *, void *arg);
/* Frees it in the next turn of the loop.  NULL is fine. */
void		 chan_free(struct chan *);
void		*chan_arg(const struct chan *);
const char	*chan_name(const struct chan *);
void		 chan_set_rules(struct chan *, const struct rules *);
void		 chan_set_state(struct chan *, uint32_t);

/* Until resumed nothing is read, nor the other side's end seen; what is sent
 * leaves all the same. */
void		 chan_pause(struct chan *);
void		 chan_resume(struct chan *);

/*
 * Queue a message; it is written when the loop turns, or, when it is large, at
 * once as far as the socket takes it.  body is the struct of the type, lent.
 * false when it could not be encoded (EMSGSIZE: a field over its maximum), or
 * the channel is closed.  A NULL channel is a closed one.
 */
bool		 chan_send(struct chan *, uint16_t type, uint64_t serial,
		    const void *body);
/* takes fd, also on failure. */
bool		 chan_send_fd(struct chan *, uint16_t type, uint64_t serial,
		    const void *body, int fd);
/* A decoded message again, under another serial. */
bool		 chan_forward(struct chan *, const struct msg *,
		    uint64_t serial);
/* Frames that msg_encode made earlier; the buf is empty afterwards. */
void		 chan_send_frames(struct chan *, struct buf *);
/* What was queued last is a secret, though no field of it says so: its memory
 * is wiped when it has left. */
void		 chan_secret(struct chan *);
/* In a handler: the descriptor that came with this message, -1 if none; the
 * caller owns it then.  What no handler takes is closed. */
int		 chan_take_fd(struct chan *);
/* In a handler: the frame that this message came in, with its length, to be
 * kept; nothing of the message is valid behind it.  false: not for nothing. */
bool		 chan_take_frame(struct chan *, struct buf *);
/* Bytes not yet written are over CHAN_HIGH. */
bool		 chan_is_full(const struct chan *);
/* In a handler: the peer broke a rule that the tables cannot express.  The
 * channel closes behind the handler. */
void		 chan_refuse(struct chan *, const char *why);
/* Write what is queued, for at most ms; for the way out. */
void		 chan_flush(struct chan *, int ms);

#endif
