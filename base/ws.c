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
 * WebSocket frames in and out, by wslay's frame level; what is long passes it
 * by, for it takes 4 KiB at a time and masks byte by byte.
 * Runs in: front, control, xbot-runner.  Input is hostile.
 * Owns: struct ws_rx.  The only file that knows wslay, whose receiving
 * context (4.3 KB) lives only while a frame is incomplete.
 */

#include <sys/socket.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <wslay/wslay.h>

#include "base/bevio.h"
#include "base/log.h"
#include "base/ws_int.h"

#define WS_GATHER	262144	/* fragments of 4 KiB are handed on together */
#define WS_ROUNDS	64	/* direct reads before it is another's turn */
#define WS_DIRECT	4096	/* so much is read, and written, past wslay */
#define WS_DIRECT_COST	16	/* of the rounds */
#define WS_MASKED	131072	/* at a time; of whole keys */

/* A frame in progress. */
struct ws_rx {
	wslay_frame_context_ptr	 ctx;
	uint64_t		 got, used;	/* bytes in and accounted for */
	uint64_t		 left;		/* of the payload */
	int			 in_frame, opcode, fin;
	int			 direct;	/* ctx lost track of the frame */
	unsigned char		 tail[4];	/* what was read last, raw */
	unsigned char		 key[4];	/* turned to the next byte */
	size_t			 ctl_len;
	unsigned char		 ctl[WS_CTL_MAX];
};

static unsigned char	 gather[WS_GATHER];
static size_t		 gathered;

/* Sending never waits, so one context serves all: one that masks and one that
 * does not, since wslay never forgets that it once masked. */
static wslay_frame_context_ptr	 tx_ctxs[2];
static struct ws		*tx_ws;

static void	ws_fail(struct ws *, int, const char *);
static void	ws_linger(struct ws *);
static int	rx_open(struct ws *);
static int	rx_begin(struct ws *, const struct wslay_frame_iocb *);
static const char *rx_wrong(const struct ws *,
		    const struct wslay_frame_iocb *, int *);
static void	rx_data(struct ws *, const unsigned char *, size_t);
static void	rx_turn(struct ws_rx *, const unsigned char *, size_t);
static int	rx_direct(struct ws *);
static int	rx_step(struct ws *);
static int	tx_long(struct ws *, int, struct iovec, struct iovec);
static void	mask(unsigned char *, const unsigned char *, size_t,
		    const unsigned char *);
static void	rx_frame_end(struct ws *);
static void	rx_control(struct ws *);
static void	rx_close(struct ws *, const unsigned char *, size_t);
static void	rx_give(struct ws *, int);
static ssize_t	rx_read(uint8_t *, size_t, int, void *);
static ssize_t	tx_write(const uint8_t *, size_t, int, void *);
static int	tx_mask(uint8_t *, size_t, void *);
static int	tx_frame(struct ws *, int, int, const void *, size_t);
static void	tx_close(struct ws *, int, const char *);
static int	utf8_feed(struct ws_utf8 *, const unsigned char *, size_t);
static int	code_ok(int);

static const struct wslay_frame_callbacks rx_callbacks = {
	.recv_callback = rx_read
};

static const struct wslay_frame_callbacks tx_callbacks = {
	.send_callback = tx_write,
	.genmask_callback = tx_mask
};

static void
ws_linger(struct ws *ws)
{
	ws->state = WSS_LINGER;
	ws->close_at = bevio_now() + WS_CLOSE_MS;
	ws_arm(ws, ws->close_at);
	ws_rx_free(ws);
}

/* The peer broke a rule: told, and then nothing of it is believed. */
static void
ws_fail(struct ws *ws, int code, const char *why)
{
	if (ws->state != WSS_OPEN && ws->state != WSS_CLOSING)
		return;
	log_info("ws %llu: refused with %d: %s",
	    (unsigned long long)ws->serial, code, why);
	gathered = 0;
	if (ws->state == WSS_OPEN) {
		ws->code = code;
		tx_close(ws, code, why);
	}
	if (ws->state != WSS_DEAD)
		ws_linger(ws);
}

/* --- receiving --- */

static ssize_t
rx_read(uint8_t *buf, size_t len, int flags, void *arg)
{
	struct ws *ws = arg;
	struct evbuffer *in = bufferevent_get_input(ws->bev);
	size_t keep;
	ssize_t n;

	n = evbuffer_remove(in, buf, len);
	/* Past libevent, which asks the kernel for 4 KiB at a time, three
	 * calls each; only where much is known to come. */
	if (n <= 0 && ws->flags & WS_RAW && !ws->eof && ws->rx->in_frame &&
	    (ws->rx->left >= 4096 || ws->rx->direct)) {
		n = recv(bufferevent_getfd(ws->bev), buf, len, MSG_DONTWAIT);
		if (n > 0)
			ws->last_rx = bevio_now();
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			ws->eof = 1;
	}
	if (n <= 0)
		return -1;
	ws->rx->got += (uint64_t)n;
	keep = n < 4 ? 4 - (size_t)n : 0;
	memmove(ws->rx->tail, ws->rx->tail + 4 - keep, keep);
	memcpy(ws->rx->tail + keep, buf + n - (4 - keep), 4 - keep);
	return n;
}

/* A key of four bytes over and over; to and from may be the same. */
static void
mask(unsigned char *to, const unsigned char *from, size_t n,
    const unsigned char *key)
{
	unsigned char	 twice[8];
	uint64_t	 k, v;
	size_t		 i;

	memcpy(twice, key, 4);
	memcpy(twice + 4, key, 4);
	memcpy(&k, twice, 8);
	for (i = 0; n - i >= 8; i += 8) {
		memcpy(&v, from + i, 8);
		v ^= k;
		memcpy(to + i, &v, 8);
	}
	for (; i < n; i++)
		to[i] = from[i] ^ key[i % 4];
}

/*
 * May the rest of the frame pass by wslay, which has given out all that it
 * read?  It does not tell the key, but the last four bytes do: raw they are
 * in tail, and every further byte is at the key's place of that four before.
 */
static void
rx_turn(struct ws_rx *rx, const unsigned char *p, size_t n)
{
	size_t i;

	if (n < 4 || rx->left < WS_DIRECT || rx->got != rx->used ||
	    wslay_is_ctrl_frame(rx->opcode))
		return;
	for (i = 0; i < 4; i++)
		rx->key[i] = rx->tail[i] ^ p[n - 4 + i];
	rx->direct = 1;
}

/* Reads once; 0: there is nothing. */
static int
rx_direct(struct ws *ws)
{
	struct ws_rx	*rx = ws->rx;
	unsigned char	 key[4], *p;
	size_t		 i, len = sizeof(gather) - gathered;
	ssize_t		 n;

	if (len == 0) {
		rx_give(ws, 0);
		return 1;
	}
	p = gather + gathered;
	if ((n = rx_read(p, len < rx->left ? len : (size_t)rx->left, 0,
	    ws)) <= 0)
		return 0;
	len = (size_t)n;
	if (!(ws->flags & WS_CLIENT)) {		/* a server's frames have no key */
		mask(p, p, len, rx->key);
		memcpy(key, rx->key, 4);
		for (i = 0; i < 4; i++)
			rx->key[i] = key[(i + len) % 4];
	}
	rx->used += len;
	rx->left -= len;
	if (ws->state != WSS_OPEN)
		return 1;
	if (ws->flags & WS_UTF8 && ws->opcode == WS_TEXT &&
	    utf8_feed(&ws->utf8, p, len) == -1) {
		ws_fail(ws, WS_BAD_DATA, "text is not UTF-8");
		return 1;
	}
	gathered += len;
	return 1;
}

/* One step of wslay; 0: there is nothing, -1: no more of this. */
static int
rx_step(struct ws *ws)
{
	struct wslay_frame_iocb	 io;
	struct ws_rx		*rx = ws->rx;
	ssize_t			 n;

	memset(&io, 0, sizeof(io));
	n = wslay_frame_recv(rx->ctx, &io);
	if (n == WSLAY_ERR_WANT_READ)
		return 0;
	if (n < 0) {
		ws_fail(ws, WS_PROTOCOL, "malformed frame");
		return -1;
	}
	if (!rx->in_frame && rx_begin(ws, &io) == -1)
		return -1;
	rx->used += (uint64_t)n;
	rx->left -= (uint64_t)n;
	rx_turn(rx, io.data, (size_t)n);
	rx_data(ws, io.data, (size_t)n);
	return 1;
}

static int
rx_open(struct ws *ws)
{
	if (ws->rx != NULL)
		return 0;
	if (evbuffer_get_length(bufferevent_get_input(ws->bev)) == 0)
		return -1;
	if ((ws->rx = calloc(1, sizeof(*ws->rx))) == NULL)
		return -1;
	if (wslay_frame_context_init(&ws->rx->ctx, &rx_callbacks, ws) != 0) {
		free(ws->rx);
		ws->rx = NULL;
		return -1;
	}
	return 0;
}

void
ws_rx_free(struct ws *ws)
{
	if (ws->rx == NULL)
		return;
	wslay_frame_context_free(ws->rx->ctx);
	free(ws->rx);
	ws->rx = NULL;
}

int
ws_receive(struct ws *ws)
{
	int did = 0, rounds = 0, more;

	gathered = 0;
	while (ws->state < WSS_LINGER && rounds++ < WS_ROUNDS &&
	    (!ws->paused || ws->state == WSS_CLOSING)) {
		if (rx_open(ws) == -1)
			break;
		if (ws->rx->direct)
			rounds += WS_DIRECT_COST - 1;
		more = ws->rx->direct ? rx_direct(ws) : rx_step(ws);
		if (more == 0)
			break;
		did = 1;
		if (more == -1)
			break;
		if (ws->rx == NULL || !ws->rx->in_frame || ws->rx->left > 0)
			continue;
		rx_frame_end(ws);
		if (ws->rx != NULL && ws->rx->direct)
			ws_rx_free(ws);
	}
	if (ws->state == WSS_OPEN && gathered > 0)
		rx_give(ws, 0);
	/* Between two frames nothing is kept. */
	if (ws->rx != NULL && !ws->rx->in_frame &&
	    ws->rx->got == ws->rx->used)
		ws_rx_free(ws);
	if (rounds > WS_ROUNDS) {
		/* Not all was read: come back after the others. */
		ws->running = 0;
		ws_wake(ws);
		ws->running = 1;
		return -1;
	}
	return did;
}

/* What is wrong with a frame's header, NULL if nothing. */
static const char *
rx_wrong(const struct ws *ws, const struct wslay_frame_iocb *io, int *code)
{
	int control = wslay_is_ctrl_frame(io->opcode);
	uint64_t len = 0;

	if (io->rsv != 0)
		return "reserved bit set";
	if ((io->mask == 0) != !!(ws->flags & WS_CLIENT))
		return io->mask ? "masked frame" : "unmasked frame";
	if (io->opcode > (control ? 10 : 2))
		return "unknown opcode";
	if (control)
		return !io->fin || io->payload_length > WS_CTL_MAX ?
		    "bad control frame" : NULL;
	if ((io->opcode == 0) != ws->in_msg)
		return ws->in_msg ? "message within a message" :
		    "continuation of nothing";
	*code = WS_TOO_BIG;
	if (io->payload_length > ws->max_frame)
		return "frame too big";
	if (ws->in_msg)
		len = ws->msg_len;
	if (len > ws->max_msg || io->payload_length > ws->max_msg - len)
		return "message too big";
	return NULL;
}

static int
rx_begin(struct ws *ws, const struct wslay_frame_iocb *io)
{
	struct ws_rx *rx = ws->rx;
	int code = WS_PROTOCOL;
	const char *why;

	rx->in_frame = 1;
	rx->opcode = io->opcode;
	rx->fin = io->fin;
	rx->left = io->payload_length;
	rx->ctl_len = 0;
	rx->used += 2 + (io->mask ? 4 : 0) + (io->payload_length > 65535 ? 8 :
	    io->payload_length > 125 ? 2 : 0);
	if ((why = rx_wrong(ws, io, &code)) != NULL) {
		ws_fail(ws, code, why);
		return -1;
	}
	if (wslay_is_ctrl_frame(io->opcode))
		return 0;
	if (!ws->in_msg) {
		ws->in_msg = 1;
		ws->given = 0;
		ws->msg_len = 0;
		ws->opcode = io->opcode;
		memset(&ws->utf8, 0, sizeof(ws->utf8));
	}
	ws->msg_len += io->payload_length;
	return 0;
}

static void
rx_data(struct ws *ws, const unsigned char *p, size_t n)
{
	struct ws_rx *rx = ws->rx;

	if (n == 0)
		return;
	if (wslay_is_ctrl_frame(rx->opcode)) {
		memcpy(rx->ctl + rx->ctl_len, p, n);
		rx->ctl_len += n;
		return;
	}
	if (ws->state != WSS_OPEN)
		return;
	if (ws->flags & WS_UTF8 && ws->opcode == WS_TEXT &&
	    utf8_feed(&ws->utf8, p, n) == -1) {
		ws_fail(ws, WS_BAD_DATA, "text is not UTF-8");
		return;
	}
	if (n > sizeof(gather) - gathered)
		rx_give(ws, 0);
	memcpy(gather + gathered, p, n);
	gathered += n;
}

static void
rx_frame_end(struct ws *ws)
{
	struct ws_rx *rx = ws->rx;

	rx->in_frame = 0;
	if (wslay_is_ctrl_frame(rx->opcode)) {
		if (gathered > 0)
			rx_give(ws, 0);
		rx_control(ws);
		return;
	}
	if (!rx->fin)
		return;
	ws->in_msg = 0;
	if (ws->state != WSS_OPEN)
		return;
	if (ws->flags & WS_UTF8 && ws->opcode == WS_TEXT && ws->utf8.need)
		ws_fail(ws, WS_BAD_DATA, "text is not UTF-8");
	else
		rx_give(ws, 1);
}

/* Hands on what was gathered.  The owner may close or pause us meanwhile. */
static void
rx_give(struct ws *ws, int fin)
{
	size_t n = gathered;
	int first = !ws->given;

	gathered = 0;
	ws->given = 1;
	if (ws->state == WSS_OPEN && ws->ops->on_data != NULL)
		ws->ops->on_data(ws, ws->arg, (enum ws_opcode)ws->opcode,
		    first, fin, gather, n);
}

/*
 * Pongs to one who does not read must not pile up: there the last ping is
 * answered when there is room (RFC 6455, 5.5.3).  It has to be, for a peer
 * that takes a large message slowly asks whether we are still there.
 */
static void
rx_ping(struct ws *ws, const unsigned char *p, size_t len)
{
	if (bevio_pending(ws->bev) <= ws->high) {
		tx_frame(ws, WSLAY_PONG, 1, p, len);
		return;
	}
	memcpy(ws->pong, p, len);
	ws->pong_len = (unsigned char)len;
	ws->pong_due = ws->high_hit = 1;
}

void
ws_pong_late(struct ws *ws)
{
	if (ws->pong_due)
		tx_frame(ws, WSLAY_PONG, 1, ws->pong, ws->pong_len);
	ws->pong_due = 0;
}

static void
rx_control(struct ws *ws)
{
	struct ws_rx *rx = ws->rx;

	switch (rx->opcode) {
	case WSLAY_PING:
		if (ws->state == WSS_OPEN)
			rx_ping(ws, rx->ctl, rx->ctl_len);
		break;
	case WSLAY_PONG:
		if (ws->state == WSS_OPEN && ws->ops->on_pong != NULL)
			ws->ops->on_pong(ws, ws->arg, rx->ctl, rx->ctl_len);
		break;
	case WSLAY_CONNECTION_CLOSE:
		rx_close(ws, rx->ctl, rx->ctl_len);
		break;
	}
}

static int
code_ok(int code)
{
	return (code >= 1000 && code <= 1003) ||
	    (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void
rx_close(struct ws *ws, const unsigned char *p, size_t n)
{
	struct ws_utf8 u = { 0, 0, 0 };
	int code = WS_NO_CODE;

	if (n >= 2)
		code = p[0] << 8 | p[1];
	if (n == 1 || (n >= 2 && !code_ok(code))) {
		ws_fail(ws, WS_PROTOCOL, "bad close code");
		return;
	}
	if (n > 2 && ws->flags & WS_UTF8 &&
	    (utf8_feed(&u, p + 2, n - 2) == -1 || u.need)) {
		ws_fail(ws, WS_BAD_DATA, "close reason is not UTF-8");
		return;
	}
	ws->peer_closed = 1;
	if (ws->state == WSS_OPEN) {
		ws->code = code;
		tx_close(ws, code, NULL);
	}
	if (ws->state != WSS_DEAD)
		ws_linger(ws);
}

/* --- UTF-8 --- */

/* -1: cannot become UTF-8 any more.  need: bytes of a character missing. */
static int
utf8_feed(struct ws_utf8 *u, const unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (u->need > 0) {
			if (p[i] < u->low || p[i] > u->high)
				return -1;
			u->need--;
			u->low = 0x80;
			u->high = 0xbf;
		} else if (p[i] >= 0x80) {
			if (p[i] < 0xc2 || p[i] > 0xf4)
				return -1;
			u->need = p[i] >= 0xf0 ? 3 : p[i] >= 0xe0 ? 2 : 1;
			/* No overlong forms, surrogates, beyond U+10FFFF. */
			u->low = p[i] == 0xe0 ? 0xa0 : p[i] == 0xf0 ? 0x90 :
			    0x80;
			u->high = p[i] == 0xed ? 0x9f : p[i] == 0xf4 ? 0x8f :
			    0xbf;
		}
	}
	return 0;
}

/* --- sending --- */

static ssize_t
tx_write(const uint8_t *data, size_t len, int flags, void *arg)
{
	if (evbuffer_add(bufferevent_get_output(tx_ws->bev), data, len) == -1)
		return -1;
	tx_ws->tx += len;
	return (ssize_t)len;
}

static int
tx_mask(uint8_t *buf, size_t len, void *arg)
{
	arc4random_buf(buf, len);
	return 0;
}

static int
tx_masked(struct ws *ws, struct iovec head, struct iovec data)
{
	static unsigned char	 masked[WS_MASKED];
	unsigned char		*h = head.iov_base;
	unsigned char		*key = h + head.iov_len;
	const unsigned char	*p = data.iov_base;
	struct iovec		 iov[2] = { { h, head.iov_len + 4 } };
	size_t			 i, n;

	h[1] |= 0x80;
	tx_mask(key, 4, NULL);
	ws->tx += 4;
	for (i = 0; i < data.iov_len; i += n) {
		n = data.iov_len - i;
		if (n > sizeof(masked))
			n = sizeof(masked);
		mask(masked, p + i, n, key);
		iov[1] = (struct iovec){ masked, n };
		if (bevio_writev(ws->bev, ws->flags & WS_RAW,
		    iov + (i > 0), i > 0 ? 1 : 2) == -1)
			return -1;
	}
	return 0;
}

/* A long frame, past the bufferevent's queue while the socket takes it.  Of a
 * client it has one part only. */
static int
tx_long(struct ws *ws, int first, struct iovec part, struct iovec data)
{
	unsigned char	 head[14] = { (unsigned char)first };
	struct iovec	 iov[3] = { { head, 2 }, part, data };
	uint64_t	 len = part.iov_len + data.iov_len;
	size_t		 i, bytes = len > 65535 ? 8 : 2;

	head[1] = bytes == 8 ? 127 : 126;
	for (i = 0; i < bytes; i++)
		head[iov[0].iov_len++] = (unsigned char)(len >>
		    8 * (bytes - 1 - i));
	ws->tx += iov[0].iov_len + len;
	if (ws->flags & WS_CLIENT)
		return tx_masked(ws, iov[0], data);
	return bevio_writev(ws->bev, ws->flags & WS_RAW, iov, 3);
}

static int
tx_broken(struct ws *ws)
{
	ws->state = WSS_DEAD;
	ws->code = WS_ABNORMAL;
	ws_wake(ws);
	return -1;
}

/* Behind a frame: idle, was there nothing in the queue before it? */
static int
tx_sent(struct ws *ws, int idle)
{
	if (bevio_pending(ws->bev) == 0)
		return 0;
	if (idle) {
		ws->stall_at = bevio_now();
		ws->stall_mark = ws->tx - bevio_untaken(ws->bev);
	}
	ws_arm(ws, ws->stall_at + ws->stall_ms);
	return 0;
}

/* By wslay; -1: it holds half a frame now. */
static int
tx_short(struct ws *ws, int opcode, int fin, const void *data, size_t len)
{
	wslay_frame_context_ptr	*ctx = &tx_ctxs[(ws->flags & WS_CLIENT) != 0];
	struct wslay_frame_iocb	 io;
	size_t			 left = len;
	ssize_t			 n = 0;

	if (*ctx == NULL &&
	    wslay_frame_context_init(ctx, &tx_callbacks, NULL) != 0)
		return -1;
	memset(&io, 0, sizeof(io));
	io.fin = fin != 0;
	io.opcode = (uint8_t)opcode & 15;
	io.payload_length = len;
	io.mask = (ws->flags & WS_CLIENT) != 0;
	io.data = data;
	io.data_length = len;
	tx_ws = ws;
	do {
		n = wslay_frame_send(*ctx, &io);
		if (n < 0 || (size_t)n > left || (n == 0 && left > 0)) {
			wslay_frame_context_free(*ctx);
			*ctx = NULL;
			return -1;
		}
		left -= (size_t)n;
		if (n > 0)
			io.data += n;
		io.data_length = left;
	} while (left > 0);
	return bevio_flush(ws->bev, ws->flags & WS_RAW);
}

/* With a part before the data only when these are long. */
static int
tx_parts(struct ws *ws, int opcode, int fin, struct iovec part,
    struct iovec data)
{
	int idle = bevio_pending(ws->bev) == 0, rc;

	if (data.iov_len >= WS_DIRECT)
		rc = tx_long(ws, (opcode & 15) | (fin ? 0x80 : 0), part, data);
	else
		rc = tx_short(ws, opcode, fin, data.iov_base, data.iov_len);
	return rc == -1 ? tx_broken(ws) : tx_sent(ws, idle);
}

static int
tx_frame(struct ws *ws, int opcode, int fin, const void *data, size_t len)
{
	return tx_parts(ws, opcode, fin, (struct iovec){ NULL, 0 },
	    (struct iovec){ (void *)(uintptr_t)data, len });
}

/* What the owner is told about the queue. */
static int
tx_high(struct ws *ws)
{
	if (bevio_pending(ws->bev) > ws->high)
		ws->high_hit = 1;
	return ws->high_hit;
}

int
ws_send(struct ws *ws, enum ws_opcode opcode, int fin, const void *data,
    size_t len)
{
	if (ws->state != WSS_OPEN || ws->bev == NULL)
		return -1;
	if (tx_frame(ws, ws->tx_msg ? WSLAY_CONTINUATION_FRAME : (int)opcode,
	    fin, data, len) == -1)
		return -1;
	ws->tx_msg = !fin;
	return tx_high(ws);
}

int
ws_send_two(struct ws *ws, enum ws_opcode opcode, const void *head,
    size_t headlen, const void *data, size_t len)
{
	if (ws->state != WSS_OPEN || ws->bev == NULL || ws->tx_msg ||
	    ws->flags & WS_CLIENT || len < WS_DIRECT)
		return -1;
	if (tx_parts(ws, (int)opcode, 1,
	    (struct iovec){ (void *)(uintptr_t)head, headlen },
	    (struct iovec){ (void *)(uintptr_t)data, len }) == -1)
		return -1;
	return tx_high(ws);
}

int
ws_ping(struct ws *ws, const void *data, size_t len)
{
	if (ws->state != WSS_OPEN || ws->bev == NULL || len > WS_CTL_MAX)
		return -1;
	if (bevio_pending(ws->bev) > ws->high)
		return 0;	/* the stall limit decides about this peer */
	return tx_frame(ws, WSLAY_PING, 1, data, len);
}

static void
tx_close(struct ws *ws, int code, const char *reason)
{
	unsigned char p[WS_CTL_MAX];
	size_t n = 0;

	if (code_ok(code)) {
		p[0] = (unsigned char)(code >> 8);
		p[1] = (unsigned char)code;
		n = 2;
		if (reason != NULL) {
			n += strnlen(reason, sizeof(p) - 2);
			memcpy(p + 2, reason, n - 2);
		}
	}
	tx_frame(ws, WSLAY_CONNECTION_CLOSE, 1, p, n);
}

void
ws_close(struct ws *ws, int code, const char *reason)
{
	if (ws->state != WSS_OPEN || ws->bev == NULL)
		return;
	ws->code = code;
	ws->state = WSS_CLOSING;
	tx_close(ws, code, reason);
	ws->close_at = bevio_now() + WS_CLOSE_MS;
	ws_arm(ws, ws->close_at);
	ws_wake(ws);
}
