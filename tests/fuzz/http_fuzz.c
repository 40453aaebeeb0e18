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
 * Bytes of a stranger into the real HTTP layer: a socketpair and the real
 * event loop.  The first byte chooses how the bytes are cut and what the
 * handlers do; after each run nothing may be left.
 */

#include <sys/socket.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "supervisor/front/http.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct event_base	*base;
static struct http_server	*srv;
static unsigned int		 opened, closed, how;
static uint64_t			 held;

static void
must(int ok)
{
	if (!ok)
		abort();
}

static void
app_body(struct http_req *r, void *arg, const void *data, size_t len)
{
	must(len > 0);
	if (how & 1) {
		http_req_pause(r);
		held = http_req_serial(r);
	}
	if (how & 2)
		http_reply_data(r, data, len);
}

static void
app_end(struct http_req *r, void *arg)
{
	if (http_reply_started(r))
		http_reply_end(r);
	else
		http_reply_error(r, XERR_EIO, "%s", http_req_path(r));
}

static void
app_close(struct http_req *r, void *arg, enum http_end end)
{
	free(arg);
	closed++;
}

static const struct http_handler handler = {
	app_body, app_end, NULL, app_close
};

static void
app_collected(struct http_req *r, void *arg, const char *data, size_t len)
{
	must(data[len] == '\0' && len <= 100);
	http_reply(r, 200, "text/plain", data, len);
}

/* A WebSocket that echoes, pauses, closes. */
static void
ws_data(struct ws *ws, void *arg, enum ws_opcode op, int first, int fin,
    const void *data, size_t len)
{
	ws_send(ws, op, fin, data, len);
	if (how & 4)
		ws_close(ws, WS_POLICY, "x");
}

static void
ws_gone(struct ws *ws, void *arg, int code)
{
	closed++;
}

static const struct ws_ops wsops = { ws_data, NULL, NULL, ws_gone };

static void
app_request(struct http_req *r, void *arg)
{
	struct http_segs s;
	char value[50];
	unsigned int i;

	/* All that asks must bear all that passed the parser. */
	if (http_req_segs(r, &s) == 0)
		for (i = 0; i < s.n; i++)
			must(strlen(s.s[i]) < 20000);
	for (i = 0; i < 3; i++)
		http_req_param(r, "a", i, value, sizeof(value));
	http_req_header_has(r, "Connection", "upgrade");
	if (how & 64)
		http_reply_header(r, "X-Path", http_req_path(r));
	opened++;
	http_set_handler(r, &handler, malloc(1));
	switch (http_req_path(r)[1]) {
	case 'c':
		http_body_collect(r, 100, app_collected);
		break;
	case 's':
		if (how & 2)
			http_reply_start(r, 200, NULL, -1);
		http_body_stream(r);
		break;
	case 'w':
		if (http_upgrade_ws(r, NULL, WS_UTF8, &wsops, NULL) != NULL)
			opened++;
		break;
	case 'h':
		held = http_req_serial(r);
		break;
	case 'a':
		http_reply_start(r, 200, NULL, 10);
		http_reply_abort(r);
		break;
	default:
		http_reply_405(r, HV_GET | HV_PATCH);
	}
}

static const struct http_server_ops ops = { .on_request = app_request };

static void
turn(int peer)
{
	static char sink[65536];
	struct http_req *r;

	event_base_loop(base, EVLOOP_NONBLOCK);
	while (recv(peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	if (held != 0 && (r = http_req_find(srv, held)) != NULL) {
		http_req_resume(r);
		if (http_req_path(r)[1] == 'h')
			http_reply(r, 200, NULL, "x", 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const size_t cuts[] = { 1, 3, 64, 100000 };
	static const struct http_conf conf = { .max_head = 2000,
	    .max_headers = 20, .high = 1000, .low = 100 };
	struct http_stats st;
	size_t cut, n, turns = 0;
	ssize_t w;
	int sv[2];

	if (base == NULL) {
		log_init("http_fuzz", LOG_LEVEL_ERROR);
		base = event_base_new();
		srv = http_server_new(base, &ops, NULL, &conf);
	}
	if (len < 2 || len > 20000)
		return 0;
	how = data[0];
	cut = cuts[how >> 4 & 3];
	data++;
	len--;
	opened = closed = 0;
	held = 0;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0);
	must(http_serve_fd(srv, sv[0], NULL) == 0);
	while (len > 0 && turns++ < 40000) {
		n = len < cut ? len : cut;
		w = send(sv[1], data, n, MSG_NOSIGNAL);
		if (w == -1 && errno != EAGAIN)
			break;
		if (w > 0) {
			data += w;
			len -= (size_t)w;
		}
		turn(sv[1]);
	}
	turn(sv[1]);
	turn(sv[1]);
	close(sv[1]);
	for (n = 0; n < 20; n++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		http_stats_get(srv, &st);
		if (st.conns == 0 && st.upgraded == 0)
			break;
	}
	must(st.conns == 0 && st.upgraded == 0 && st.collected == 0);
	must(opened == closed);
	return 0;
}
