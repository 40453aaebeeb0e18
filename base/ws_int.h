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
 * What ws.c and ws_conn.c share and nobody else includes.
 * Runs in: front, control, xbot-runner.
 */

#ifndef BASE_WS_INT_H
#define BASE_WS_INT_H

#include "base/ws.h"

#define WS_CTL_MAX	125	/* bytes in a control frame */
#define WS_CLOSE_MS	5000	/* for the peer's half of a close */

struct ws_rx;

enum ws_state {
	WSS_OPEN,
	WSS_CLOSING,		/* our Close is out, the peer's is awaited */
	WSS_LINGER,		/* nothing more is parsed; wait for the end */
	WSS_DEAD
};

/* A character cut in two: bytes missing, bounds of the next one. */
struct ws_utf8 {
	unsigned char	need, low, high;
};

struct ws {
	struct event_base	*base;
	struct bufferevent	*bev;
	const struct ws_ops	*ops;
	void			*arg;
	struct event		*ev;		/* timer, and wake-up */
	struct ws_rx		*rx;
	void			(*release)(void *);
	void			*release_arg;
	uint64_t		 serial;
	enum ws_state		 state;
	int			 flags, code, opcode;
	unsigned int		 running:1, silent:1, eof:1, paused:1;
	unsigned int		 in_msg:1, given:1, tx_msg:1, high_hit:1;
	unsigned int		 shut:1, peer_closed:1, pong_due:1;
	unsigned char		 pong_len, pong[WS_CTL_MAX];
	struct ws_utf8		 utf8;
	uint64_t		 max_frame, max_msg, msg_len;
	uint64_t		 last_rx, close_at, timer_at, ping_at;
	uint64_t		 tx, stall_at, stall_mark;
	size_t			 high, low;
	unsigned int		 stall_ms, ping_ms, dead_ms;
};

/* ws.c: framing.  ws_receive() says whether anything happened; -1: there is
 * more, but others come first, and we were woken for later. */
int	 ws_receive(struct ws *);
void	 ws_rx_free(struct ws *);
/* There is room again: the pong that had to wait. */
void	 ws_pong_late(struct ws *);

/* ws_conn.c */
void	 ws_wake(struct ws *);
void	 ws_arm(struct ws *, uint64_t);

#endif
