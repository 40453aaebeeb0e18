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
 * shell, exec -i: our descriptors and a WebSocket, until the process at its
 * other end has ended.  Runs in: xbot-admin.
 * Owns: the connection; when we end, so does it, and the daemon ends the
 * process.  Trusts the daemon's frames as far as base/ws does.
 */

#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/base64.h"
#include "base/ws_client.h"
#include "supervisor/admin/admin.h"
#include "supervisor/admin/stream.h"

#define PIECE		32768
#define HELD_HIGH	(256u * 1024)	/* of output: the daemon waits */
#define HELD_LOW	(64u * 1024)
#define TEXT_MAX	(4u * 1024 * 1024)	/* 256 KiB of it, escaped */
#define REFUSAL_MAX	65536

enum watched { ON_INPUT, ON_WINCH, ON_TSTP, ON_CONT, ON_INT, ON_QUIT,
    ON_DEADLINE, WATCHED };

struct stream {
	const struct stream_conf *conf;
	struct event_base	*base;
	struct wsc		*wsc;		/* until the handshake is over */
	struct ws		*ws;		/* until it is closed */
	struct bufferevent	*refusal;	/* the answer was no */
	int			 refused;	/* with this status */
	struct event		*ev[WATCHED];
	struct outlet		*out[2];
	struct buf		 text;		/* a message so far */
	bool			 input;		/* there may be more */
	bool			 paused;
	bool			 exited;	/* the daemon said so */
	bool			 over;		/* and nothing else counts */
	int			 interrupted;	/* by this signal, passed on */
	int			 status;
};

static int	 socket_connect(void);
static bool	 stream_init(struct stream *);
static void	 stream_clear(struct stream *);
static void	 stream_end(struct stream *, int);
static void	 stream_check(struct stream *);
static bool	 watch(struct stream *, enum watched, int, short,
		    event_callback_fn);
static void	 send_text(struct stream *, const char *);
static void	 send_size(struct stream *);
static void	 on_open(void *, struct ws *, const char *);
static void	 on_fail(void *, int, const char *);
static void	 on_refused(void *, int, struct bufferevent *);
static void	 on_refusal(struct bufferevent *, void *);
static void	 on_refusal_end(struct bufferevent *, short, void *);
static void	 on_data(struct ws *, void *, enum ws_opcode, int, int,
		    const void *, size_t);
static void	 on_text(struct stream *);
static void	 on_exit_text(struct stream *, const struct json_value *);
static bool	 on_stderr(struct stream *, const struct json_value *);
static void	 on_writable(struct ws *, void *);
static void	 on_close(struct ws *, void *, int);
static void	 on_output(void *, bool);
static void	 on_input(evutil_socket_t, short, void *);
static void	 input_end(struct stream *, ssize_t, int);
static void	 on_winch(evutil_socket_t, short, void *);
static void	 on_tstp(evutil_socket_t, short, void *);
static void	 on_cont(evutil_socket_t, short, void *);
static void	 on_interrupt(evutil_socket_t, short, void *);
static void	 on_deadline(evutil_socket_t, short, void *);

static const struct wsc_ops wsc_ops = { on_open, on_fail, on_refused };
static const struct ws_ops ws_ops = {
	.on_data = on_data, .on_writable = on_writable, .on_close = on_close
};

static int
socket_connect(void)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	char			 why[256];
	int			 fd;

	if (strlen(admin.socket) >= sizeof(sun.sun_path)) {
		complain("%s: %s", admin.socket, strerror(ENAMETOOLONG));
		return -1;
	}
	(void)strcpy(sun.sun_path, admin.socket);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1) {
		complain("socket: %s", strerror(errno));
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	socket_explain(why, sizeof(why), errno);
	complain("%s", why);
	close(fd);
	return -1;
}

static bool
watch(struct stream *s, enum watched which, int fd, short what,
    event_callback_fn fn)
{
	s->ev[which] = event_new(s->base, fd, what, fn, s);
	return s->ev[which] != NULL;
}

static bool
stream_init(struct stream *s)
{
	struct event_config	*config = event_config_new();
	bool			 ok;

	/* epoll knows no files. */
	if (config != NULL && event_config_require_features(config,
	    EV_FEATURE_FDS) == 0)
		s->base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	if (s->base == NULL)
		return false;
	s->out[0] = outlet_new(s->base, STDOUT_FILENO, on_output, s);
	s->out[1] = outlet_new(s->base, STDERR_FILENO, on_output, s);
	ok = s->out[0] != NULL && s->out[1] != NULL &&
	    watch(s, ON_INPUT, STDIN_FILENO, EV_READ | EV_PERSIST,
	    on_input) && watch(s, ON_DEADLINE, -1, 0, on_deadline);
	if (s->conf->terminal)
		return ok && watch(s, ON_WINCH, SIGWINCH, EV_SIGNAL |
		    EV_PERSIST, on_winch) && watch(s, ON_TSTP, SIGTSTP,
		    EV_SIGNAL | EV_PERSIST, on_tstp) && watch(s, ON_CONT,
		    SIGCONT, EV_SIGNAL | EV_PERSIST, on_cont);
	return ok && watch(s, ON_INT, SIGINT, EV_SIGNAL, on_interrupt) &&
	    watch(s, ON_QUIT, SIGQUIT, EV_SIGNAL, on_interrupt);
}

static void
stream_clear(struct stream *s)
{
	size_t	 i;

	wsc_cancel(s->wsc);
	if (s->ws != NULL)
		ws_free(s->ws);
	if (s->refusal != NULL)
		bufferevent_free(s->refusal);
	for (i = 0; i < WATCHED; i++)
		if (s->ev[i] != NULL)
			event_free(s->ev[i]);
	outlet_free(s->out[0]);
	outlet_free(s->out[1]);
	buf_clear(&s->text);
	if (s->base != NULL)
		event_base_free(s->base);
}

int
stream_run(const struct stream_conf *conf)
{
	struct wsc_conf		 wc = { .host = "localhost",
				    .path = conf->path, .ws_flags = WS_RAW };
	struct stream		 s = { .conf = conf,
				    .status = STATUS_FAILED };
	struct bufferevent	*bev;
	int			 fd;

	if ((fd = socket_connect()) == -1)
		return STATUS_FAILED;
	if (!stream_init(&s) || (bev = bufferevent_socket_new(s.base, fd,
	    BEV_OPT_CLOSE_ON_FREE)) == NULL) {
		complain("no memory");
		close(fd);
	} else if ((s.wsc = wsc_start(s.base, bev, 0, &wc, &wsc_ops,
	    &ws_ops, &s)) == NULL)
		complain("no memory");
	else
		(void)event_base_dispatch(s.base);
	term_restore();
	stream_clear(&s);
	/* Who started us is to see what ended us. */
	if (s.interrupted != 0 && s.status == 128 + s.interrupted) {
		(void)signal(s.interrupted, SIG_DFL);
		(void)raise(s.interrupted);
	}
	return s.status;
}

static void
stream_end(struct stream *s, int status)
{
	if (!s->over)
		s->status = status;
	s->over = true;
	(void)event_base_loopbreak(s->base);
}

/* All was said, and written. */
static void
stream_check(struct stream *s)
{
	if (s->ws == NULL && outlet_held(s->out[0]) == 0 &&
	    outlet_held(s->out[1]) == 0)
		stream_end(s, s->status);
}

/* --- the handshake --- */

static void
on_open(void *arg, struct ws *ws, const char *subprotocol)
{
	struct stream	*s = arg;
	struct timeval	 tv = { .tv_sec = s->conf->seconds };

	s->wsc = NULL;
	s->ws = ws;
	s->input = true;
	/* What is held is counted here, and nobody has to take anything. */
	ws_set_limits(ws, 0, 0);
	ws_set_stall(ws, UINT_MAX);
	if (s->conf->terminal && !term_raw()) {
		complain("the terminal: %s", strerror(errno));
		stream_end(s, STATUS_FAILED);
		return;
	}
	(void)event_add(s->ev[ON_INPUT], NULL);
	if (s->conf->seconds > 0)
		(void)event_add(s->ev[ON_DEADLINE], &tv);
	if (s->conf->terminal) {
		(void)event_add(s->ev[ON_WINCH], NULL);
		(void)event_add(s->ev[ON_TSTP], NULL);
		(void)event_add(s->ev[ON_CONT], NULL);
		send_size(s);		/* may be another one by now */
	} else {
		(void)event_add(s->ev[ON_INT], NULL);
		(void)event_add(s->ev[ON_QUIT], NULL);
	}
}

static void
on_fail(void *arg, int status, const char *why)
{
	struct stream	*s = arg;

	s->wsc = NULL;
	complain("the daemon: %s", why);
	stream_end(s, STATUS_FAILED);
}

/* An answer as to any other question: an error, with its text. */
static void
on_refused(void *arg, int status, struct bufferevent *bev)
{
	struct stream	*s = arg;

	s->wsc = NULL;
	s->refusal = bev;
	s->refused = status;
	bufferevent_setcb(bev, on_refusal, NULL, on_refusal_end, s);
	(void)bufferevent_enable(bev, EV_READ);
	on_refusal(bev, s);
}

static void
on_refusal(struct bufferevent *bev, void *arg)
{
	struct evbuffer	*in = bufferevent_get_input(bev);
	size_t		 len = evbuffer_get_length(in);
	const char	*text = (char *)evbuffer_pullup(in, -1), *why;
	struct json	*j = NULL;

	if (len > 0 && text != NULL)
		j = json_parse(text, len, 64, &why);
	json_free(j);
	if (j != NULL || len > REFUSAL_MAX)
		on_refusal_end(bev, BEV_EVENT_EOF, arg);
}

static void
on_refusal_end(struct bufferevent *bev, short what, void *arg)
{
	struct evbuffer	*in = bufferevent_get_input(bev);
	struct stream	*s = arg;

	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	api_complain(evbuffer_pullup(in, -1), evbuffer_get_length(in),
	    s->refused);
	stream_end(s, STATUS_FAILED);
}

/* --- from the daemon --- */

static void
on_data(struct ws *ws, void *arg, enum ws_opcode opcode, int first, int fin,
    const void *data, size_t len)
{
	struct stream	*s = arg;
	bool		 ok;

	if (s->over)
		return;
	if (opcode == WS_BINARY)
		ok = outlet_add(s->out[0], data, len);
	else if (len > TEXT_MAX - s->text.len) {
		complain("a message of the daemon is too long");
		ok = false;
	} else if (!(ok = buf_add(&s->text, data, len) == 0))
		complain("no memory");
	if (!ok) {
		stream_end(s, STATUS_FAILED);
		return;
	}
	if (opcode == WS_TEXT && fin) {
		on_text(s);
		buf_drain(&s->text, s->text.len);
	}
	if (!s->paused && outlet_held(s->out[0]) + outlet_held(s->out[1]) >
	    HELD_HIGH) {
		s->paused = true;
		ws_pause(ws);
	}
}

static void
on_text(struct stream *s)
{
	const struct json_value	*root;
	struct slice		 type = { "", 0 };
	struct json		*j;
	const char		*why;
	bool			 ok = true;

	j = json_parse((char *)buf_data(&s->text), s->text.len, 64, &why);
	if (j == NULL) {
		complain("a message of the daemon cannot be read: %s", why);
		stream_end(s, STATUS_FAILED);
		return;
	}
	root = json_root(j);
	(void)json_str(json_find(root, "type"), &type);
	if (slice_is(type, "exit"))
		on_exit_text(s, root);
	else if (slice_is(type, "stderr"))
		ok = on_stderr(s, root);
	else if (slice_is(type, "error")) {
		/* The rest is the connection's end. */
		s->exited = true;
		term_restore();
		api_complain(buf_data(&s->text), s->text.len, 0);
	}
	json_free(j);
	if (!ok)
		stream_end(s, STATUS_FAILED);
}

static void
on_exit_text(struct stream *s, const struct json_value *root)
{
	int64_t	 code;

	s->exited = true;
	s->input = false;
	(void)event_del(s->ev[ON_INPUT]);
	if (json_find(root, "limit") != NULL) {
		term_restore();
		complain("the sandbox ran out of memory");
	}
	if (json_int(json_find(root, "exit_code"), &code) && code >= 0 &&
	    code <= 255) {
		s->status = (int)code;
		return;
	}
	term_restore();
	complain("the command ended, but it is not known how");
	s->status = STATUS_UNKNOWN;
}

static bool
on_stderr(struct stream *s, const struct json_value *root)
{
	struct slice	 data, encoding;
	struct buf	 bytes = { 0 };
	ssize_t		 n;
	void		*dst;
	bool		 ok = false;

	if (!json_str(json_find(root, "data"), &data))
		return true;
	if (!json_str(json_find(root, "encoding"), &encoding) ||
	    !slice_is(encoding, "base64"))
		return outlet_add(s->out[1], data.p, data.len);
	if ((dst = buf_reserve(&bytes, BASE64_DECODED_MAX(data.len))) == NULL)
		complain("no memory");
	else if ((n = base64_decode(dst, data.p, data.len)) == -1)
		complain("a message of the daemon cannot be read: malformed "
		    "base64");
	else
		ok = outlet_add(s->out[1], dst, (size_t)n);
	buf_clear(&bytes);
	return ok;
}

static void
on_close(struct ws *ws, void *arg, int code)
{
	struct stream	*s = arg;

	s->ws = NULL;
	s->input = false;
	(void)event_del(s->ev[ON_INPUT]);
	if (!s->exited && !s->over) {
		term_restore();
		complain("the connection broke off (%d): it is not known how "
		    "the command ended", code);
	}
	stream_check(s);
}

static void
on_output(void *arg, bool ok)
{
	struct stream	*s = arg;

	if (!ok) {
		stream_end(s, STATUS_FAILED);
		return;
	}
	if (s->paused && outlet_held(s->out[0]) + outlet_held(s->out[1]) <
	    HELD_LOW) {
		s->paused = false;
		if (s->ws != NULL)
			ws_resume(s->ws);
	}
	stream_check(s);
}

/* --- to the daemon --- */

static void
send_text(struct stream *s, const char *text)
{
	if (s->ws != NULL)
		(void)ws_send(s->ws, WS_TEXT, 1, text, strlen(text));
}

static void
send_size(struct stream *s)
{
	unsigned int	 cols, rows;
	char		 text[80];

	term_size(&cols, &rows);
	(void)snprintf(text, sizeof(text),
	    "{\"type\":\"resize\",\"cols\":%u,\"rows\":%u}", cols, rows);
	send_text(s, text);
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
	struct stream	*s = arg;
	char		 piece[PIECE];
	ssize_t		 n;

	n = read(fd, piece, sizeof(piece));
	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		input_end(s, n, errno);
	else if (ws_send(s->ws, WS_BINARY, 1, piece, (size_t)n) != 0)
		(void)event_del(s->ev[ON_INPUT]);
}

static void
on_writable(struct ws *ws, void *arg)
{
	struct stream	*s = arg;

	if (s->input)
		(void)event_add(s->ev[ON_INPUT], NULL);
}

static void
input_end(struct stream *s, ssize_t n, int error)
{
	s->input = false;
	(void)event_del(s->ev[ON_INPUT]);
	if (s->conf->terminal)
		stream_end(s, STATUS_FAILED);	/* hung up: nobody is there */
	else if (n == 0)
		send_text(s, "{\"type\":\"eof\"}");
	else {
		complain("standard input: %s", strerror(error));
		stream_end(s, STATUS_FAILED);
	}
}

static void
on_winch(evutil_socket_t sig, short what, void *arg)
{
	send_size(arg);
}

/* From outside: what is typed goes to the process. */
static void
on_tstp(evutil_socket_t sig, short what, void *arg)
{
	term_restore();
	(void)kill(getpid(), SIGSTOP);
}

/* The shell that we stopped under has set the terminal as it likes it. */
static void
on_cont(evutil_socket_t sig, short what, void *arg)
{
	(void)term_raw();
	send_size(arg);
}

/* Once to the process; when it does not end, the next one is ours. */
static void
on_interrupt(evutil_socket_t sig, short what, void *arg)
{
	struct stream	*s = arg;

	s->interrupted = (int)sig;
	send_text(s, sig == SIGINT ? "{\"type\":\"signal\",\"signal\":\"INT\"}" :
	    "{\"type\":\"signal\",\"signal\":\"QUIT\"}");
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct stream	*s = arg;

	term_restore();
	complain("the command timed out and is being ended");
	stream_end(s, STATUS_TIMEOUT);
}
