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
 * The way to an executor where the Engine sees neither our directory nor our
 * processes: through the Engine.  Runs in: docker.  Owns: the connection to
 * the Engine that has become a stream, and one end of a socket pair whose
 * other end box takes for the executor's.  Of what comes back only the
 * Engine's own headers are read; what is in them goes to box unseen.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/child.h"
#include "base/json.h"
#include "base/log.h"
#include "workers/docker/docker.h"

#define HIGH		(256u * 1024)	/* of each way: the source waits */
#define LOW		(64u * 1024)
#define ANSWER_MAX	8192		/* the Engine's, before the stream */
#define LINES_MAX	8		/* of standard error, for the log */
#define TAR_BLOCK	512

enum { STREAM_OUT = 1, STREAM_ERR = 2 };	/* the Engine's numbers */

struct relay {
	relay_up		*up;
	void			(*down)(void *);
	void			*arg;
	char			 user[ID_USER_MAX + 1];
	uint64_t		 call;
	struct bufferevent	*engine, *box;
	int			 theirs;	/* box's end, until it has it */
	bool			 streaming;	/* the answer was read */
	bool			 ending;	/* what has come is delivered */
	uint8_t			 stream;
	uint32_t		 left;		/* of its piece */
	unsigned int		 lines;
};

static void	relay_end(struct relay *, const char *);
static void	relay_out(struct relay *);
static void	on_exec(void *, const struct engine_result *);
static void	on_engine(struct bufferevent *, void *);
static void	on_engine_room(struct bufferevent *, void *);
static void	on_engine_event(struct bufferevent *, short, void *);
static void	on_box(struct bufferevent *, void *);
static void	on_box_room(struct bufferevent *, void *);
static void	on_box_event(struct bufferevent *, short, void *);

/* ---- the program */

static void
tar_head(char head[TAR_BLOCK], const char *name, char type, unsigned int mode,
    size_t size)
{
	unsigned int	 sum = 0, i;

	memset(head, 0, TAR_BLOCK);
	snprintf(head, 100, "%s", name);
	snprintf(head + 100, 8, "%07o", mode);
	snprintf(head + 108, 8, "%07o", 0u);		/* uid */
	snprintf(head + 116, 8, "%07o", 0u);		/* gid */
	snprintf(head + 124, 12, "%011zo", size);
	snprintf(head + 136, 12, "%011o", 0u);		/* mtime */
	memset(head + 148, ' ', 8);			/* the sum itself */
	head[156] = type;
	memcpy(head + 257, "ustar\0" "00", 8);
	for (i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)head[i];
	snprintf(head + 148, 8, "%06o", sum);
}

/* An archive of /.xbot/executor; it ends in two blocks of zeros. */
uint64_t
relay_put(const char *container, engine_done *done, void *arg)
{
	static const char	 zeros[3 * TAR_BLOCK];
	struct engine_args	 args = { .a = container };
	struct buf		 tar = { 0 };
	char			 head[TAR_BLOCK];
	const size_t		 len = docker_program.len;
	uint64_t		 call = 0;
	bool			 ok;

	tar_head(head, ".xbot/", '5', 0755, 0);
	ok = buf_add(&tar, head, sizeof(head)) == 0;
	tar_head(head, ".xbot/executor", '0', 0555, len);
	ok = ok && buf_add(&tar, head, sizeof(head)) == 0 &&
	    buf_add(&tar, buf_data(&docker_program), len) == 0 &&
	    buf_add(&tar, zeros, 2 * TAR_BLOCK +
	    (TAR_BLOCK - len % TAR_BLOCK) % TAR_BLOCK) == 0;
	args.body = (struct slice){ buf_data(&tar), tar.len };
	if (ok)
		call = engine_call(docker_engine, ENGINE_CONTAINER_PUT, &args,
		    done, arg);
	buf_clear(&tar);
	return call;
}

/* ---- how it begins */

struct relay *
relay_new(const struct sandbox *s, relay_up *up, void (*down)(void *),
    void *arg)
{
	static const char	 body[] = "{\"AttachStdin\":true,"
				    "\"AttachStdout\":true,"
				    "\"AttachStderr\":true,\"Tty\":false,"
				    "\"User\":\"0:0\",\"WorkingDir\":\"/\","
				    "\"Cmd\":[\"/.xbot/executor\",\"-b\","
				    "\"/.xbot/sock\"]}";
	struct engine_args	 args = { .a = s->container,
				    .body = slice_str(body) };
	struct relay		*r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->up = up;
	r->down = down;
	r->arg = arg;
	r->theirs = -1;
	memcpy(r->user, s->user, sizeof(r->user));
	r->call = engine_call(docker_engine, ENGINE_EXEC_CREATE, &args,
	    on_exec, r);
	if (r->call != 0)
		return r;
	relay_free(r);
	return NULL;
}

void
relay_free(struct relay *r)
{
	if (r == NULL)
		return;
	engine_cancel(docker_engine, r->call);
	if (r->engine != NULL)
		bufferevent_free(r->engine);
	if (r->box != NULL)
		bufferevent_free(r->box);
	if (r->theirs != -1)
		close(r->theirs);
	free(r);
}

/* Once box has its end, box sees that; before, who waits is told. */
static void
relay_end(struct relay *r, const char *why)
{
	void	(*down)(void *) = r->down;
	void	*arg = r->arg;

	if (why != NULL)
		log_warnx("sandbox of %s: through the Docker Engine: %s",
		    r->user, why);
	relay_free(r);
	if (down != NULL)
		down(arg);
}

/* false and errno. */
static bool
relay_connect(struct relay *r)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	int			 fd, pair[2];

	if (strlen(docker_conf.socket) >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(sun.sun_path, docker_conf.socket, strlen(docker_conf.socket));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return false;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    (r->engine = bufferevent_socket_new(child_base(), fd,
	    BEV_OPT_CLOSE_ON_FREE)) == NULL) {
		close(fd);
		return false;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    pair) == -1)
		return false;
	r->theirs = pair[1];
	if ((r->box = bufferevent_socket_new(child_base(), pair[0],
	    BEV_OPT_CLOSE_ON_FREE)) == NULL) {
		close(pair[0]);
		return false;
	}
	bufferevent_setcb(r->engine, on_engine, on_engine_room,
	    on_engine_event, r);
	bufferevent_setcb(r->box, on_box, on_box_room, on_box_event, r);
	bufferevent_setwatermark(r->engine, EV_READ, 0, HIGH);
	bufferevent_setwatermark(r->engine, EV_WRITE, LOW, 0);
	bufferevent_setwatermark(r->box, EV_READ, 0, HIGH);
	bufferevent_setwatermark(r->box, EV_WRITE, LOW, 0);
	bufferevent_enable(r->engine, EV_READ | EV_WRITE);
	bufferevent_enable(r->box, EV_READ | EV_WRITE);
	return true;
}

static void
on_exec(void *arg, const struct engine_result *res)
{
	static const char	 body[] = "{\"Detach\":false,\"Tty\":false}";
	struct relay		*r = arg;
	char			 id[CONTAINER_ID_MAX];

	r->call = 0;
	if (res->code != XERR_NONE) {
		relay_end(r, res->text);
		return;
	}
	if (!json_cstr(json_find(res->body, "Id"), id, sizeof(id)) ||
	    id[0] == '\0' || strspn(id, "0123456789abcdef") != strlen(id) ||
	    engine_api(docker_engine)[0] == '\0') {
		relay_end(r, "the Engine's answer has no id");
		return;
	}
	if (!relay_connect(r)) {
		relay_end(r, strerror(errno));
		return;
	}
	evbuffer_add_printf(bufferevent_get_output(r->engine),
	    "POST /v%s/exec/%s/start HTTP/1.1\r\nHost: docker\r\n"
	    "Connection: Upgrade\r\nUpgrade: tcp\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n"
	    "\r\n%s", engine_api(docker_engine), id, sizeof(body) - 1, body);
}

/* ---- what comes from the Engine */

/* false: there is more to come, or it is over. */
static bool
answer_read(struct relay *r)
{
	struct evbuffer		*in = bufferevent_get_input(r->engine);
	struct evbuffer_ptr	 end = evbuffer_search(in, "\r\n\r\n", 4,
				    NULL);
	char			 head[13] = "", why[64];

	if (end.pos == -1) {
		if (evbuffer_get_length(in) > ANSWER_MAX)
			relay_end(r, "the Engine's answer is too long");
		return false;
	}
	evbuffer_copyout(in, head, sizeof(head) - 1);
	if (strcmp(head, "HTTP/1.1 101") != 0) {
		snprintf(why, sizeof(why), "the Engine answered %.3s",
		    strlen(head) > 9 ? head + 9 : "nothing");
		relay_end(r, why);
		return false;
	}
	evbuffer_drain(in, (size_t)end.pos + 4);
	r->streaming = true;
	return true;
}

/* Some of what it says of itself; a user may have put another in its place. */
static void
line_log(struct relay *r, struct evbuffer *in, size_t n)
{
	char	 text[256];
	size_t	 i, len = n < sizeof(text) - 1 ? n : sizeof(text) - 1;

	if (r->lines++ < LINES_MAX) {
		evbuffer_copyout(in, text, len);
		for (i = 0; i < len; i++)
			if (text[i] < ' ' || text[i] > '~')
				text[i] = ' ';
		while (len > 0 && text[len - 1] == ' ')
			len--;
		text[len] = '\0';
		log_info("sandbox of %s: %s", r->user, text);
	}
	evbuffer_drain(in, n);
}

/* false: no header of an Engine's. */
static bool
header_read(struct relay *r, struct evbuffer *in)
{
	uint8_t	 h[8];

	evbuffer_remove(in, h, sizeof(h));
	r->stream = h[0];
	r->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 |
	    (uint32_t)h[6] << 8 | h[7];
	return (h[0] == STREAM_OUT || h[0] == STREAM_ERR) && h[1] == 0 &&
	    h[2] == 0 && h[3] == 0;
}

/* The first byte is the executor's: it has called. */
static void
relay_is_up(struct relay *r)
{
	relay_up	*up = r->up;
	int		 fd = r->theirs;

	if (fd == -1)
		return;
	r->theirs = -1;
	r->down = NULL;
	up(r->arg, fd);
}

static void
relay_out(struct relay *r)
{
	struct evbuffer	*in = bufferevent_get_input(r->engine);
	struct evbuffer	*out = bufferevent_get_output(r->box);
	size_t		 n;

	for (;;) {
		if (evbuffer_get_length(out) >= HIGH) {
			bufferevent_disable(r->engine, EV_READ);
			return;
		}
		n = evbuffer_get_length(in);
		if (r->left == 0 && n >= 8) {
			if (!header_read(r, in)) {
				relay_end(r, "no stream of an Engine's");
				return;
			}
			continue;
		}
		if (n > r->left)
			n = r->left;
		if (n == 0)
			return;
		r->left -= (uint32_t)n;
		if (r->stream == STREAM_ERR)
			line_log(r, in, n);
		else {
			evbuffer_remove_buffer(in, out, n);
			relay_is_up(r);
		}
	}
}

static void
on_engine(struct bufferevent *bev, void *arg)
{
	struct relay	*r = arg;

	if (r->streaming || answer_read(r))
		relay_out(r);
}

/* What box was sent is delivered first. */
static void
on_engine_event(struct bufferevent *bev, short what, void *arg)
{
	struct relay	*r = arg;

	if (r->theirs != -1) {
		relay_end(r, "the way to the executor ended");
		return;
	}
	r->ending = true;
	if (evbuffer_get_length(bufferevent_get_output(r->box)) == 0) {
		relay_end(r, NULL);
		return;
	}
	bufferevent_disable(r->engine, EV_READ | EV_WRITE);
	bufferevent_disable(r->box, EV_READ);
	bufferevent_setwatermark(r->box, EV_WRITE, 0, 0);
}

static void
on_engine_room(struct bufferevent *bev, void *arg)
{
	struct relay	*r = arg;

	if (r->ending)
		return;
	bufferevent_enable(r->box, EV_READ);
	on_box(r->box, r);
}

/* ---- what comes from box */

static void
on_box(struct bufferevent *bev, void *arg)
{
	struct relay	*r = arg;
	struct evbuffer	*out = bufferevent_get_output(r->engine);

	evbuffer_add_buffer(out, bufferevent_get_input(r->box));
	if (evbuffer_get_length(out) >= HIGH)
		bufferevent_disable(r->box, EV_READ);
}

static void
on_box_room(struct bufferevent *bev, void *arg)
{
	struct relay	*r = arg;

	if (r->ending) {
		relay_end(r, NULL);
		return;
	}
	bufferevent_enable(r->engine, EV_READ);
	if (r->streaming)
		relay_out(r);
}

static void
on_box_event(struct bufferevent *bev, short what, void *arg)
{
	relay_end(arg, NULL);
}
