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
 * base/ws, base/ws_client: real sockets, the real event loop.  The peer is
 * bytes written by hand, or our own other side.
 */

#include <sys/socket.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/log.h"
#include "base/ws.h"
#include "base/ws_client.h"
#include "tests/unit/check.h"
#include "tests/unit/turns.h"

#define MIB	(1024 * 1024)

/* What one side saw. */
struct side {
	struct ws	*ws;
	char		*msg;
	size_t		 len;
	int		 messages, parts, opcode, code, closed, pongs;
	int		 writable, echo, pause, close_on_data, free_on_data;
	int		 open;
};

static unsigned char		 in[3 * MIB];
static size_t			 in_len;

static void
side_data(struct ws *ws, void *arg, enum ws_opcode op, int first, int fin,
    const void *data, size_t len)
{
	struct side *s = arg;

	CHECK(first == !s->open);
	s->open = !fin;
	if (first) {
		s->len = 0;
		s->opcode = op;
	}
	CHECK(s->opcode == (int)op);
	CHECK(len > 0 || fin);
	if (s->len + len <= 3 * MIB) {
		if (s->msg == NULL)
			s->msg = malloc(3 * MIB + 1);
		memcpy(s->msg + s->len, data, len);
	}
	s->len += len;
	s->parts++;
	s->messages += fin;
	if (s->echo)
		ws_send(ws, op, fin, data, len);
	if (s->pause)
		ws_pause(ws);
	if (s->close_on_data)
		ws_close(ws, WS_POLICY, "no");
	if (s->free_on_data) {
		ws_free(ws);
		s->ws = NULL;
	}
}

static void
side_writable(struct ws *ws, void *arg)
{
	struct side *s = arg;

	s->writable++;
}

static void
side_pong(struct ws *ws, void *arg, const void *data, size_t len)
{
	struct side *s = arg;

	s->pongs++;
	CHECK(len == 0 || memcmp(data, "hi", 2) == 0);
}

static void
side_close(struct ws *ws, void *arg, int code)
{
	struct side *s = arg;

	CHECK(s->ws == ws && s->closed == 0);
	s->ws = NULL;
	s->closed++;
	s->code = code;
}

static const struct ws_ops ops = {
	side_data, side_writable, side_pong, side_close
};

/* --- the peer by hand --- */

static int
begin(struct side *s, int flags)
{
	struct bufferevent *bev;
	int sv[2];

	free(s->msg);
	memset(s, 0, sizeof(*s));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1)
		exit(1);
	bev = bufferevent_socket_new(base, sv[0], BEV_OPT_CLOSE_ON_FREE);
	s->ws = ws_new(base, bev, flags | WS_RAW, &ops, s);
	return sv[1];
}

static void
end(struct side *s, int fd)
{
	close(fd);
	turns_ms(5);
	if (s->ws != NULL)
		ws_free(s->ws);
	CHECK(s->closed == 1 || s->free_on_data);
	free(s->msg);
	memset(s, 0, sizeof(*s));
	turns_ms(2);
}

/* Sends it all, in steps; one turn each. */
static void
put(int fd, const void *data, size_t len, size_t step)
{
	const char *p = data;
	uint64_t t0 = clock_ms();
	ssize_t w;

	while (len > 0 && clock_ms() - t0 < 3000) {
		w = send(fd, p, len < step ? len : step, MSG_NOSIGNAL);
		if (w == -1 && errno != EAGAIN)
			return;
		if (w > 0) {
			p += w;
			len -= (size_t)w;
		}
		turn();
	}
}

/* Reads until EOF (1) or quiet (0). */
static int
get(int fd, unsigned int ms)
{
	struct quiet q = { 0 };
	ssize_t n = -1;

	in_len = 0;
	while (!is_quiet(&q, n > 0, ms)) {
		turn();
		n = recv(fd, in + in_len, sizeof(in) - in_len, 0);
		if (n > 0)
			in_len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			return 1;
	}
	return 0;
}

/* A frame as a client (masked) or a server makes it. */
static size_t
frame(unsigned char *dst, int first, int masked, const void *data, size_t len)
{
	static const unsigned char mask[4] = { 0x12, 0x34, 0xab, 0xff };
	const unsigned char *p = data;
	size_t i, n = 0;

	dst[n++] = (unsigned char)first;
	if (len < 126)
		dst[n++] = (unsigned char)len;
	else if (len < 65536) {
		dst[n++] = 126;
		dst[n++] = (unsigned char)(len >> 8);
		dst[n++] = (unsigned char)len;
	} else {
		dst[n++] = 127;
		for (i = 0; i < 8; i++)
			dst[n++] = (unsigned char)((uint64_t)len >>
			    (56 - 8 * i));
	}
	if (masked) {
		dst[1] |= 0x80;
		memcpy(dst + n, mask, 4);
		n += 4;
	}
	for (i = 0; i < len; i++)
		dst[n++] = masked ? p[i] ^ mask[i % 4] : p[i];
	return n;
}

static void
say(int fd, int first, const void *data, size_t len, size_t step)
{
	unsigned char *buf = malloc(len + 16);

	put(fd, buf, frame(buf, first, 1, data, len), step);
	free(buf);
}

/* The code of the Close frame that came last, 0 if there is none. */
static int
close_code(void)
{
	size_t i = 0, len;
	int code = 0;

	while (in_len - i >= 2) {
		len = in[i + 1];
		if (in[i] == 0x88)
			code = len >= 2 ? in[i + 2] << 8 | in[i + 3] : 1005;
		if (len == 126) {
			len = (size_t)in[i + 2] << 8 | in[i + 3];
			i += 2;
		} else if (len == 127)
			return -1;
		i += 2 + len;
	}
	return code;
}

/* --- tests --- */

static int
fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
echoes(void)
{
	static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536,
	    70000, MIB };
	static unsigned char data[MIB], want[MIB + 16];
	static struct side s;
	size_t i, n;
	int fd;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	fd = begin(&s, 0);
	s.echo = 1;
	ws_set_marks(s.ws, 4 * MIB, MIB);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		say(fd, 0x82, data, sizes[i], 100000);
		get(fd, 10);
		CHECK(s.messages == (int)i + 1 && s.len == sizes[i] &&
		    s.opcode == WS_BINARY);
		CHECK(sizes[i] == 0 || memcmp(s.msg, data, sizes[i]) == 0);
		if (sizes[i] <= 127) {	/* comes in one part */
			n = frame(want, 0x82, 0, data, sizes[i]);
			CHECK(in_len == n && memcmp(in, want, n) == 0);
		}
	}
	/* byte by byte */
	say(fd, 0x82, data, 300, 1);
	get(fd, 5);
	CHECK(s.len == 300 && memcmp(s.msg, data, 300) == 0);
	/* fragments with a ping among them; 4 KiB as Go's client does it */
	s.parts = 0;
	for (i = 0; i < 100; i++) {
		say(fd, i == 0 ? 0x01 : i == 99 ? 0x80 : 0x00, data + i * 4096,
		    4096, 100000);
		if (i == 50)
			say(fd, 0x89, "hi", 2, 1);
	}
	get(fd, 10);
	CHECK(s.messages == 11 && s.len == 409600 && s.opcode == WS_TEXT);
	CHECK(memcmp(s.msg, data, s.len) == 0);
	end(&s, fd);
	CHECK(s.ws == NULL);
}

static void
controls(void)
{
	static struct side s;
	int fd = begin(&s, 0);

	say(fd, 0x01, "ab", 2, 1);
	say(fd, 0x89, "hi", 2, 1);
	get(fd, 10);
	CHECK(in_len == 4 && memcmp(in, "\x8a\x02hi", 4) == 0);
	say(fd, 0x8a, "hi", 2, 1);		/* a pong nobody asked for */
	CHECK(s.pongs == 1);
	say(fd, 0x80, "cd", 2, 1);
	CHECK(s.messages == 1 && memcmp(s.msg, "abcd", 4) == 0);
	ws_ping(s.ws, "hi", 2);
	get(fd, 10);
	CHECK(in_len == 4 && memcmp(in, "\x89\x02hi", 4) == 0);
	CHECK(ws_ping(s.ws, in, 126) == -1);
	/* our own fragments */
	ws_send(s.ws, WS_TEXT, 0, "a", 1);
	ws_ping(s.ws, "", 0);
	ws_send(s.ws, WS_TEXT, 0, "b", 1);
	ws_send(s.ws, WS_TEXT, 1, "", 0);
	ws_send(s.ws, WS_BINARY, 1, "c", 1);
	get(fd, 10);
	CHECK(in_len == 13 && memcmp(in, "\x01\x01" "a\x89\x00\x00\x01" "b"
	    "\x80\x00\x82\x01" "c", 13) == 0);
	end(&s, fd);
}

static void
refuses(void)
{
	static const struct {
		const char	*bytes;
		size_t		 len;
		int		 flags, code;
	} tab[] = {
		{ "\x82\x01" "a", 3, 0, 1002 },		/* not masked */
		{ "\x82\x81\1\2\3\4a", 7, WS_CLIENT, 1002 }, /* masked */
		{ "\xc2\x81\1\2\3\4a", 7, 0, 1002 },	/* reserved bits */
		{ "\xa2\x81\1\2\3\4a", 7, 0, 1002 },
		{ "\x92\x81\1\2\3\4a", 7, 0, 1002 },
		{ "\x83\x81\1\2\3\4a", 7, 0, 1002 },	/* opcodes */
		{ "\x87\x81\1\2\3\4a", 7, 0, 1002 },
		{ "\x8b\x81\1\2\3\4a", 7, 0, 1002 },
		{ "\x8f\x81\1\2\3\4a", 7, 0, 1002 },
		{ "\x80\x81\1\2\3\4a", 7, 0, 1002 },	/* continues what? */
		{ "\x01\x81\1\2\3\4a\x01\x81\1\2\3\4a", 14, 0, 1002 },
		{ "\x09\x81\1\2\3\4a", 7, 0, 1002 },	/* ping in pieces */
		{ "\x89\xfe\0\x7e\1\2\3\4", 8, 0, 1002 }, /* ping of 126 */
		{ "\x82\xfe\0\x7d\1\2\3\4", 8, 0, 1002 }, /* long length */
		{ "\x82\xff\0\0\0\0\0\0\xff\xff\1\2\3\4", 14, 0, 1002 },
		{ "\x82\xff\x80\0\0\0\0\0\0\0\1\2\3\4", 14, 0, 1002 },
		{ "\x82\xff\0\0\0\0\0\x10\0\1\1\2\3\4a", 15, 0, 1009 },
		{ "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4a", 15, 0,
		    1009 },
		{ "\x88\x81\0\0\0\0a", 7, 0, 1002 },	/* half a code */
		{ "\x88\x82\0\0\0\0\x03\xed", 8, 0, 1002 }, /* 1005 */
		{ "\x88\x82\0\0\0\0\x03\xee", 8, 0, 1002 }, /* 1006 */
		{ "\x88\x82\0\0\0\0\x00\x01", 8, 0, 1002 },
		{ "\x88\x82\0\0\0\0\xff\xff", 8, 0, 1002 },
		{ "\x88\x83\0\0\0\0\x03\xe8\xff", 9, WS_UTF8, 1007 },
		{ "\x81\x81\0\0\0\0\xff", 7, WS_UTF8, 1007 },
		{ "\x81\x82\0\0\0\0\xc0\x80", 8, WS_UTF8, 1007 },
		{ "\x81\x83\0\0\0\0\xed\xa0\x80", 9, WS_UTF8, 1007 },
		{ "\x81\x84\0\0\0\0\xf4\x90\x80\x80", 10, WS_UTF8, 1007 },
		{ "\x81\x81\0\0\0\0\xc3", 7, WS_UTF8, 1007 }, /* cut off */
		{ "\x01\x81\0\0\0\0\xc3\x80\x81\0\0\0\0x", 14, WS_UTF8, 1007 },
	};
	static struct side s;
	size_t i, k;
	int fd, eof;

	for (i = 0; i < sizeof(tab) / sizeof(tab[0]); i++)
		for (k = 0; k < 2; k++) {
			fd = begin(&s, tab[i].flags);
			put(fd, tab[i].bytes, tab[i].len, k ? 1 : 100);
			eof = get(fd, 30);
			if (!(tab[i].flags & WS_CLIENT) && !CHECK(eof &&
			    close_code() == tab[i].code))
				printf("refusal %zu: %d not %d, eof %d\n", i,
				    close_code(), tab[i].code, eof);
			CHECK(ws_send(s.ws, WS_TEXT, 1, "x", 1) == -1);
			close(fd);
			turns_ms(4);
			CHECK(s.closed == 1 && s.code == tab[i].code);
			CHECK(s.messages == 0);
			if (!s.closed)
				ws_free(s.ws);
		}
	free(s.msg);
	s.msg = NULL;
}

static void
texts(void)
{
	static struct side s;
	int fd = begin(&s, WS_UTF8);

	/* one character over three frames, byte by byte */
	say(fd, 0x01, "\xf0\x9f", 2, 1);
	say(fd, 0x89, "", 0, 1);
	say(fd, 0x00, "\x98", 1, 1);
	say(fd, 0x80, "\x80\xc3\xa9", 3, 1);
	CHECK(s.messages == 1 && s.len == 6);
	say(fd, 0x82, "\xff\xff", 2, 1);	/* binary may be anything */
	CHECK(s.messages == 2);
	end(&s, fd);
	fd = begin(&s, 0);			/* v1 runners do not care */
	say(fd, 0x81, "\xff\xff", 2, 1);
	CHECK(s.messages == 1 && !ws_closing(s.ws));
	end(&s, fd);
}

static void
limits(void)
{
	static char data[70000];
	static struct side s;
	int fd = begin(&s, 0), i;

	ws_set_limits(s.ws, 65536, 65536);
	say(fd, 0x82, data, 65536, 100000);
	turns_ms(5);
	CHECK(s.messages == 1);
	for (i = 0; i < 4; i++)
		say(fd, i == 0 ? 0x02 : 0x00, data, 20000, 100000);
	CHECK(get(fd, 30) == 1 && close_code() == 1009 && s.messages == 1);
	close(fd);
	turns_ms(4);
	CHECK(s.closed && s.code == 1009);
	/* registered: more is allowed, from the next frame on */
	fd = begin(&s, 0);
	ws_set_limits(s.ws, 1000, 1000);
	say(fd, 0x02, data, 1000, 100000);
	ws_set_limits(s.ws, 0, 0);
	say(fd, 0x80, data, 70000, 100000);
	turns_ms(5);
	CHECK(s.messages == 1 && s.len == 71000);
	end(&s, fd);
}

static void
closes(void)
{
	static struct side s;
	uint64_t t0;
	int fd;

	fd = begin(&s, 0);			/* the peer closes */
	say(fd, 0x88, "\x03\xe9" "bye", 5, 1);
	CHECK(get(fd, 50) == 1 && close_code() == 1001);
	CHECK(s.closed == 1 && s.code == 1001);
	close(fd);
	fd = begin(&s, 0);			/* without a code */
	say(fd, 0x88, "", 0, 1);
	CHECK(get(fd, 50) == 1 && close_code() == 1005 && s.code == 1005);
	close(fd);
	fd = begin(&s, 0);			/* we do; data is dropped */
	ws_close(s.ws, WS_INTERNAL, "a reason");
	CHECK(ws_closing(s.ws) && s.closed == 0);
	CHECK(ws_send(s.ws, WS_TEXT, 1, "x", 1) == -1);
	CHECK(get(fd, 10) == 0 && close_code() == 1011 && in_len == 12);
	say(fd, 0x81, "late", 4, 1);
	CHECK(s.messages == 0 && s.closed == 0);
	say(fd, 0x88, "\x03\xf3", 2, 1);
	CHECK(get(fd, 50) == 1 && in_len == 0 && s.closed && s.code == 1011);
	close(fd);
	fd = begin(&s, 0);			/* from a callback */
	s.close_on_data = 1;
	say(fd, 0x81, "x", 1, 10);
	CHECK(get(fd, 10) == 0 && close_code() == 1008);
	end(&s, fd);
	fd = begin(&s, 0);			/* nobody closes, it is gone */
	say(fd, 0x01, "x", 1, 10);
	close(fd);
	turns_ms(5);
	CHECK(s.closed == 1 && s.code == WS_ABNORMAL && s.parts == 1);
	fd = begin(&s, 0);
	ws_abort(s.ws);
	CHECK(s.closed == 0);
	CHECK(get(fd, 50) == 1 && s.closed == 1 && s.code == WS_ABNORMAL);
	close(fd);
	fd = begin(&s, 0);
	s.free_on_data = 1;
	say(fd, 0x81, "x", 1, 10);
	CHECK(get(fd, 50) == 1 && s.closed == 0);
	end(&s, fd);
	fd = begin(&s, 0);			/* no answer: five seconds */
	ws_close(s.ws, WS_NORMAL, NULL);
	t0 = clock_ms();
	CHECK(get(fd, 4000) == 0 && s.closed == 0);
	CHECK(get(fd, 4000) == 1 && s.closed == 1 && s.code == 1000);
	CHECK(clock_ms() - t0 > 4800 && clock_ms() - t0 < 6000);
	close(fd);
	free(s.msg);
	s.msg = NULL;
}

static void
pressure(void)
{
	static char data[50000];
	static struct side s;
	int fd = begin(&s, 0), i;
	size_t before, sent = 0;
	ssize_t w;

	/* paused: the kernel fills, we do not */
	s.pause = 1;
	ws_set_limits(s.ws, 0, 0);
	before = mallinfo2().uordblks;
	{
		unsigned char h[14];
		size_t n = frame(h, 0x82, 1, "", 0);

		(void)n;
		h[1] = 0xff;			/* 100 MiB */
		memset(h + 2, 0, 12);
		h[6] = 6;
		h[7] = 0x40;
		put(fd, h, 14, 100);
	}
	for (i = 0; i < 20000; i++) {
		w = send(fd, data, sizeof(data), MSG_NOSIGNAL);
		if (w > 0)
			sent += (size_t)w;
		turn();
	}
	CHECK(s.parts == 1 && sent < 2 * MIB);
	CHECK(mallinfo2().uordblks < before + 4 * MIB);
	s.pause = 0;
	ws_resume(s.ws);
	for (i = 0; i < 20000 && sent < 100 * MIB; i++) {
		w = send(fd, data, sizeof(data) < 100 * MIB - sent ?
		    sizeof(data) : 100 * MIB - sent, MSG_NOSIGNAL);
		if (w > 0)
			sent += (size_t)w;
		turn();
	}
	turns_ms(5);
	CHECK(sent == 100 * MIB && s.messages == 1 && s.len == 100 * MIB);

	/* high mark, low mark */
	for (i = 0; ws_send(s.ws, WS_BINARY, 1, data, sizeof(data)) == 0; i++)
		;
	CHECK(i > 3 && ws_pending(s.ws) > 256 << 10);
	CHECK(ws_pending(s.ws) < 320 << 10 && s.writable == 0);
	get(fd, 20);
	CHECK(s.writable == 1 && ws_pending(s.ws) == 0);
	end(&s, fd);

	/* who does not read is dropped; who reads slowly is not */
	fd = begin(&s, 0);
	ws_set_stall(s.ws, 1000);
	while (ws_send(s.ws, WS_BINARY, 1, data, sizeof(data)) == 0)
		;
	for (i = 0; i < 130; i++) {
		turns_ms(10);
		(void)!recv(fd, in, 2000, 0);
	}
	CHECK(s.closed == 0);
	for (i = 0; i < 100 && s.closed == 0; i++)
		turns_ms(100);
	CHECK(s.closed == 1 && s.code == WS_ABNORMAL);
	close(fd);

	/* pings of one who does not read make no heap */
	fd = begin(&s, 0);
	before = mallinfo2().uordblks;
	for (i = 0; i < 60000; i++)
		say(fd, 0x89, data, 125, 1000);
	CHECK(ws_pending(s.ws) < 300 << 10);
	CHECK(mallinfo2().uordblks < before + MIB);
	/* when it reads after all, the last one is answered */
	say(fd, 0x89, "last", 4, 1000);
	get(fd, 20);
	CHECK(in_len > 6 && memcmp(in + in_len - 6, "\x8a\4last", 6) == 0);
	end(&s, fd);
}

static void
keepalive(void)
{
	static struct side s;
	int fd = begin(&s, 0), i;

	ws_set_keepalive(s.ws, 40, 2000);
	for (i = 0; i < 20; i++) {		/* any byte is a sign of life */
		get(fd, 25);
		say(fd, 0x8a, "", 0, 10);
	}
	CHECK(s.closed == 0 && s.pongs == 20);
	get(fd, 50);
	CHECK(in_len >= 2 && in[0] == 0x89 && in[1] == 0);
	CHECK(get(fd, 4000) == 1 && s.closed == 1);
	close(fd);
	turns_ms(4);
}

/* All that was sent before the end is delivered. */
static void
last_words(void)
{
	static unsigned char many[64000];
	static struct side s;
	size_t n = 0;
	int fd = begin(&s, 0), i;

	for (i = 0; i < 6000; i++)
		n += frame(many + n, 0x82, 1, "abcd", 4);
	CHECK(send(fd, many, n, 0) == (ssize_t)n);
	close(fd);
	turns_ms(20);
	CHECK(s.messages == 6000 && s.closed == 1);
	free(s.msg);
	s.msg = NULL;
}

/* --- our client --- */

static struct {
	struct wsc	*wsc;
	struct ws	*ws;
	int		 opened, failed, status;
	char		 why[200], proto[40];
} cl;

static void
cl_open(void *arg, struct ws *ws, const char *proto)
{
	struct side *s = arg;

	s->ws = ws;
	cl.opened++;
	if (proto != NULL)
		snprintf(cl.proto, sizeof(cl.proto), "%s", proto);
}

static void
cl_fail(void *arg, int status, const char *why)
{
	cl.failed++;
	cl.status = status;
	snprintf(cl.why, sizeof(cl.why), "%s", why);
}

static const struct wsc_ops cl_ops = { cl_open, cl_fail, NULL };

static int
cl_begin(struct side *s, const struct wsc_conf *conf)
{
	int sv[2];

	memset(&cl, 0, sizeof(cl));
	free(s->msg);
	memset(s, 0, sizeof(*s));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1)
		exit(1);
	cl.wsc = wsc_start(base, bufferevent_socket_new(base, sv[0],
	    BEV_OPT_CLOSE_ON_FREE), 0, conf, &cl_ops, &ops, s);
	return sv[1];
}

/* The accept of the key in what was received. */
static void
accept_of(char out[WS_ACCEPT_LEN])
{
	char key[25] = "", *p;

	in[in_len] = '\0';
	p = strstr((char *)in, "Sec-WebSocket-Key: ");
	if (p != NULL)
		memcpy(key, p + 19, 24);
	ws_accept(key, out);
}

static void
client_side(void)
{
	static const struct {
		const char	*fmt;
		int		 status;	/* -1: opens */
	} tab[] = {
		{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: "
		    "Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
		    "Sec-WebSocket-Protocol: b\r\n\r\n\x81\x02hi", -1 },
		{ "HTTP/1.1 101 x\r\nUPGRADE: WebSocket\r\nconnection: foo, "
		    "upgrade\r\nsec-websocket-accept:%s  \r\n\r\n", -1 },
		{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: "
		    "Upgrade\r\nSec-WebSocket-Accept: x%s\r\n\r\n", 101 },
		{ "HTTP/1.1 101 x\r\nConnection: "
		    "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", 101 },
		{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"
		    "Sec-WebSocket-Accept: %s\r\n\r\n", 101 },
		{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: "
		    "Upgrade\r\n\r\n", 101 },
		{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: "
		    "Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
		    "Sec-WebSocket-Protocol: other\r\n\r\n", 101 },
		{ "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: "
		    "Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
		    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		    101 },
		{ "HTTP/1.1 401 go away\r\nContent-Length: 0\r\n\r\n", 401 },
		{ "HTTP/1.1 200 OK\r\n\r\n", 200 },
		{ "SSH-2.0-x\r\n\r\n", 0 },
		{ "\r\n\r\n", 0 },
		{ "HTTP/1.1 \r\n\r\n", 0 },
	};
	struct wsc_conf conf = { .host = "h:1", .path = "/ws/u",
	    .subprotocols = "a, b", .headers = "X-More: 1\r\n" };
	char acc[WS_ACCEPT_LEN], *text, *p;
	static struct side s;
	size_t i, step;
	int fd;

	for (step = 1; step < 1000; step += 900)
		for (i = 0; i < sizeof(tab) / sizeof(tab[0]); i++) {
			fd = cl_begin(&s, &conf);
			get(fd, 5);
			accept_of(acc);
			p = strstr(tab[i].fmt, "%s");
			if (asprintf(&text, "%.*s%s%s", p == NULL ?
			    (int)strlen(tab[i].fmt) : (int)(p - tab[i].fmt),
			    tab[i].fmt, p == NULL ? "" : acc,
			    p == NULL ? "" : p + 2) == -1)
				exit(1);
			put(fd, text, strlen(text), step);
			free(text);
			turns_ms(2);
			if (!CHECK(cl.opened == (tab[i].status == -1) &&
			    cl.failed != cl.opened && (!cl.failed ||
			    cl.status == tab[i].status)))
				printf("answer %zu: opened %d, status %d, "
				    "%s\n", i, cl.opened, cl.status, cl.why);
			if (i == 0)
				CHECK(s.messages == 1 && s.len == 2 &&
				    strcmp(cl.proto, "b") == 0);
			if (s.ws != NULL)
				ws_free(s.ws);
			close(fd);
			free(s.msg);
			s.msg = NULL;
		}
	CHECK(strstr((char *)in, "GET /ws/u HTTP/1.1\r\nHost: h:1\r\n") !=
	    NULL && strstr((char *)in, "\r\nX-More: 1\r\n") != NULL);
	fd = cl_begin(&s, &conf);		/* too long */
	for (i = 0; i < 300; i++)
		put(fd, "HTTP/1.1 101 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 95, 95);
	CHECK(cl.failed == 1 && cl.status == 0);
	close(fd);
	fd = cl_begin(&s, &conf);		/* gone */
	close(fd);
	turns_ms(3);
	CHECK(cl.failed == 1);
	conf.timeout_ms = 50;
	fd = cl_begin(&s, &conf);		/* silent */
	turns_ms(100);
	CHECK(cl.failed == 1);
	close(fd);
	fd = cl_begin(&s, &conf);
	wsc_cancel(cl.wsc);
	turns_ms(3);
	CHECK(cl.failed == 0);
	close(fd);
	conf.path = "/a b";
	fd = cl_begin(&s, &conf);
	CHECK(cl.wsc == NULL);
	close(fd);
	conf.path = "/";
	memset(&cl, 0, sizeof(cl));		/* nobody listens there */
	CHECK(wsc_connect(base, "127.0.0.1", 1, &conf, NULL, &cl_ops, &ops,
	    &s) != NULL);
	turns_ms(20);
	CHECK(cl.failed == 1);
}

/* Client and server of ours, both ways. */
static void
both(void)
{
	static struct side a, b;
	static char data[2 * MIB];
	int sv[2], i;
	size_t k;

	for (k = 0; k < sizeof(data); k++)
		data[k] = (char)(k * 31);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1)
		exit(1);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.ws = ws_new(base, bufferevent_socket_new(base, sv[0],
	    BEV_OPT_CLOSE_ON_FREE), WS_CLIENT | WS_RAW, &ops, &a);
	/* and one that writes by the loop, as TLS will */
	b.ws = ws_new(base, bufferevent_socket_new(base, sv[1],
	    BEV_OPT_CLOSE_ON_FREE), 0, &ops, &b);
	b.echo = 1;
	ws_set_limits(a.ws, 0, 0);
	ws_set_limits(b.ws, 0, 0);
	for (i = 0; i < 3; i++) {
		ws_send(a.ws, WS_BINARY, 0, data, MIB);
		ws_send(a.ws, WS_BINARY, 1, data + MIB, MIB);
		turns_ms(60);
		CHECK(a.messages == i + 1 && a.len == sizeof(data) &&
		    memcmp(a.msg, data, a.len) == 0);
	}
	/* One message whose head lies elsewhere; not in the midst of one, and
	 * not of a client. */
	CHECK(ws_send_two(a.ws, WS_BINARY, data, 9, data + 9, MIB) == -1);
	CHECK(ws_send_two(b.ws, WS_BINARY, data, 9, data + 9, 100) == -1);
	CHECK(ws_send_two(b.ws, WS_BINARY, data, 9, data + 9, MIB) != -1);
	turns_ms(60);
	CHECK(a.messages == i + 1 && a.len == MIB + 9 &&
	    memcmp(a.msg, data, a.len) == 0);
	ws_send(b.ws, WS_BINARY, 0, data, 10);
	CHECK(ws_send_two(b.ws, WS_BINARY, data, 9, data + 9, MIB) == -1);
	ws_send(b.ws, WS_BINARY, 1, data, 0);
	ws_ping(a.ws, "hi", 2);
	ws_ping(b.ws, "hi", 2);
	turns_ms(10);
	CHECK(a.pongs == 1 && b.pongs == 1);
	ws_close(a.ws, 4001, "enough");
	turns_ms(10);
	CHECK(a.closed && a.code == 4001 && b.closed && b.code == 4001);
	free(a.msg);
	free(b.msg);
}

/* What an idle connection costs. */
static void
idle_cost(void)
{
	enum { N = 400 };
	static struct side many[N];
	static int fd[N];
	size_t before = mallinfo2().uordblks, each;
	int i;

	for (i = 0; i < N; i++) {
		fd[i] = begin(&many[i], 0);
		say(fd[i], 0x89, "", 0, 10);
	}
	each = (mallinfo2().uordblks - before) / N;
	printf("idle connection: %zu bytes\n", each);
	CHECK(each < 2600);
	for (i = 0; i < N; i++)
		end(&many[i], fd[i]);
}

int
main(void)
{
	size_t heap, after;
	int before, i;

	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_init("ws_test", LOG_LEVEL_ERROR);
	base = event_base_new();
	before = fds();
	idle_cost();
	echoes();
	heap = 0;
	for (i = 0; i < 2; i++) {
		if (i == 1)
			heap = mallinfo2().uordblks;
		controls();
		refuses();
		texts();
		limits();
		pressure();
		keepalive();
		last_words();
		client_side();
		both();
		echoes();
	}
	closes();
	after = mallinfo2().uordblks;
	if (after > heap + 16384)
		printf("heap %zu, then %zu\n", heap, after);
	CHECK(after <= heap + 16384);
	CHECK(fds() == before);
	event_base_free(base);
	return checks_end();
}
