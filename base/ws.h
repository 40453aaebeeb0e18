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
 * WebSocket connections (RFC 6455) over a bufferevent, both sides.
 * Runs in: front, control, xbot-runner.  Input is hostile.
 * Owns: the bufferevent, one struct ws.  Assembles no message.  SIGPIPE must
 * be ignored: the server and the client's handshake see to that.
 *
 * A struct ws * is valid until its on_close has returned.  Callbacks only
 * come from the event loop, never from inside a ws_*() function you called.
 */

#ifndef BASE_WS_H
#define BASE_WS_H

#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct event_base;
struct ws;

enum ws_opcode {
	WS_TEXT = 1,
	WS_BINARY = 2
};

/* Close codes.  1005, 1006 are never sent: "none given", "just gone". */
enum ws_code {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL = 1002,
	WS_UNSUPPORTED = 1003,
	WS_NO_CODE = 1005,
	WS_ABNORMAL = 1006,
	WS_BAD_DATA = 1007,
	WS_POLICY = 1008,
	WS_TOO_BIG = 1009,
	WS_INTERNAL = 1011,
	WS_TRY_LATER = 1013
};

/* ws_new() flags */
#define WS_CLIENT	0x1	/* we mask, the peer must not */
#define WS_UTF8		0x2	/* text must be UTF-8, else 1007 */
#define WS_RAW		0x4	/* bev is a plain socket: write past the loop */

struct ws_ops {
	/*
	 * Part of a message: first and fin mark its ends, len may be 0 when
	 * fin is set.  data is lent until return.  opcode is that of the
	 * message, also in its later parts.
	 */
	void	(*on_data)(struct ws *, void *arg, enum ws_opcode opcode,
		    int first, int fin, const void *data, size_t len);
	/* Output drained below the low mark after ws_send() returned 1. */
	void	(*on_writable)(struct ws *, void *arg);
	void	(*on_pong)(struct ws *, void *arg, const void *data,
		    size_t len);
	/*
	 * Exactly once, at the end of everything (not from ws_free()).  code
	 * is the peer's when it closed first, ours when we did, WS_ABNORMAL
	 * when the connection just went away.  ws is invalid after return.
	 */
	void	(*on_close)(struct ws *, void *arg, int code);
};

/*
 * Takes bev, on which the handshake is complete; what bev has read already
 * is the first input.  Any op may be NULL.  NULL: no memory, bev is freed.
 */
struct ws	*ws_new(struct event_base *, struct bufferevent *bev,
		    int flags, const struct ws_ops *, void *arg);
/* Drops the connection at once.  No callback comes any more. */
void	 ws_free(struct ws *);
/* The same, but on_close(WS_ABNORMAL) follows from the loop. */
void	 ws_abort(struct ws *);

void	 ws_set_arg(struct ws *, void *arg);
void	 ws_set_ops(struct ws *, const struct ws_ops *);
/* The number for log lines; the server's upgrade sets the request's. */
void	 ws_set_serial(struct ws *, uint64_t serial);
uint64_t ws_serial(const struct ws *);
/* fn(arg) when the socket is given back: the owner's accounting. */
void	 ws_set_release(struct ws *, void (*fn)(void *), void *arg);

/*
 * Limits on what arrives, 1009 beyond.  Default 1 MiB each; 0 is no limit
 * (nothing is held here, the owner counts what it assembles).
 */
void	 ws_set_limits(struct ws *, uint64_t max_frame, uint64_t max_message);
/* Marks on unsent output; default 256 KiB and 64 KiB. */
void	 ws_set_marks(struct ws *, size_t high, size_t low);
/* A peer that takes nothing for that long is dropped; default 10000 ms. */
void	 ws_set_stall(struct ws *, unsigned int ms);
/* Ping every ping_ms; gone after dead_ms without any byte.  0, 0: off. */
void	 ws_set_keepalive(struct ws *, unsigned int ping_ms,
	    unsigned int dead_ms);

/*
 * One frame of a message; fin ends it.  The first frame's opcode counts, later
 * ones go out as continuations.  Returns 0, 1 when more than the high mark is
 * unsent (it was taken all the same), -1 when closing or closed (dropped).
 */
int	 ws_send(struct ws *, enum ws_opcode opcode, int fin, const void *data,
	    size_t len);
/* The same for a whole message, head and then data; not from a WS_CLIENT. */
int	 ws_send_two(struct ws *, enum ws_opcode opcode, const void *head,
	    size_t headlen, const void *data, size_t len);
/* At most 125 bytes. */
int	 ws_ping(struct ws *, const void *data, size_t len);
/*
 * Starts the closing handshake: no more data is delivered, on_close follows
 * within 5 s.  reason may be NULL and is cut to 123 bytes.
 */
void	 ws_close(struct ws *, int code, const char *reason);
int	 ws_closing(const struct ws *);

/* Stop and go of reading; also pings stay unanswered while paused. */
void	 ws_pause(struct ws *);
void	 ws_resume(struct ws *);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key. */
#define WS_ACCEPT_LEN	29
void	 ws_accept(const char *key, char dst[WS_ACCEPT_LEN]);

size_t	 ws_pending(const struct ws *);
/* Milliseconds since the last byte arrived. */
uint64_t ws_quiet_ms(const struct ws *);

#endif
