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
 * The other side of ws_interop.py.  "ws_echo" serves /ws on a port it prints;
 * "ws_echo PORT" connects there and echoes what it is sent.
 */

#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/ws_client.h"
#include "supervisor/front/http.h"

static struct event_base	*base;

static void
on_data(struct ws *ws, void *arg, enum ws_opcode op, int first, int fin,
    const void *data, size_t len)
{
	if (first && fin && len == 7 && memcmp(data, "close:", 6) == 0)
		ws_close(ws, 4000 + *((const char *)data + 6), "asked");
	else if (ws_send(ws, op, fin, data, len) == 1)
		ws_pause(ws);
}

static void
on_writable(struct ws *ws, void *arg)
{
	ws_resume(ws);
}

static void
on_close(struct ws *ws, void *arg, int code)
{
	printf("closed %d\n", code);
	if (arg != NULL)
		event_base_loopbreak(base);
}

static const struct ws_ops ops = { on_data, on_writable, NULL, on_close };

static void
on_request(struct http_req *r, void *arg)
{
	struct ws *ws;

	if (strcmp(http_req_path(r), "/ws") != 0) {
		http_reply_error(r, XERR_ENOENT, "no such route");
		return;
	}
	ws = http_upgrade_ws(r, http_req_header_has(r,
	    "Sec-WebSocket-Protocol", "xbot.v1") ? "xbot.v1" : NULL, WS_UTF8,
	    &ops, NULL);
	if (ws != NULL)
		ws_set_limits(ws, 0, 16 << 20);
}

static void
on_open(void *arg, struct ws *ws, const char *proto)
{
	ws_set_limits(ws, 0, 0);
	ws_set_keepalive(ws, 200, 5000);
}

static void
on_fail(void *arg, int status, const char *why)
{
	printf("failed %d\n", status);
	event_base_loopbreak(base);
}

static const struct http_server_ops server_ops = { .on_request = on_request };
static const struct wsc_ops client_ops = { on_open, on_fail, NULL };

int
main(int argc, char *argv[])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct wsc_conf conf = { .host = "localhost", .path = "/x?y",
	    .subprotocols = "other, xbot.v1", .ws_flags = WS_UTF8 };
	socklen_t len = sizeof(sin);
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	log_init("ws_echo", LOG_LEVEL_ERROR);
	base = event_base_new();
	if (argc > 1) {
		wsc_connect(base, "localhost", (unsigned short)atoi(argv[1]),
		    &conf, NULL, &client_ops, &ops, base);
		return event_base_dispatch(base) == -1;
	}
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 16) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		return 1;
	http_listen(http_server_new(base, &server_ops, NULL, NULL), fd, NULL);
	printf("%u\n", ntohs(sin.sin_port));
	return event_base_dispatch(base) == -1;
}
