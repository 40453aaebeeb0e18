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
 * Copying skills and agents to a runner, one operation at a time.  Runs in:
 * remote.  A runner of version 2 is asked first which files it has already; one
 * of version 1 gets all of them, as the wire contract (section 6) says.  A file
 * that fails is counted and passed over; the whole has a minute.
 */

#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/frame.h"
#include "workers/remote/remote.h"
#include "workers/remote/sync.h"

#define ACTIVE_MAX	8	/* runners at a time */
#define USER_MAX	2	/* of one user: the others get their turn */
#define SYNC_SECONDS	60
#define HASH_BATCH	512	/* paths in one question */
#define HASH_BYTES	(FRAME_CHUNK / 2)	/* of them all */
#define DIR_MODE	0755
#define FILE_MODE	0644

enum sync_step { SYNC_WAITING, SYNC_HASHES, SYNC_DIR, SYNC_FILE };

struct sync {
	TAILQ_ENTRY(sync) entry;	/* of all */
	TAILQ_ENTRY(sync) active;	/* of those that copy */
	uint64_t	 serial;	/* of its session */
	char		*user, *name;
	bool		 is_v2;
	enum sync_step	 step;
	struct event	*timer;
	struct id16	 job;		/* of the operation in hand */
	struct source	*source;
	const struct source_file *files;	/* of it */
	size_t		 n, at;
	bool		*same;		/* there already; n of them */
	size_t		 hashed, asked;	/* answered so far; in question */
	char		*dir;		/* made last */
	uint64_t	 sent;		/* of the file in hand */
	bool		 ended;
	size_t		 copied, kept, failed;
};

static TAILQ_HEAD(sync_list, sync) syncs = TAILQ_HEAD_INITIALIZER(syncs);
static struct sync_list		 copying = TAILQ_HEAD_INITIALIZER(copying);
static uint8_t			 salt[8];	/* of the ids of our jobs */
static struct chan		*client, *server;
static unsigned int		 active;

static void	sync_next(struct sync *);
static void	sync_end(struct sync *, const char *);
static void	on_credit(struct chan *, const struct msg *);
static void	on_done(struct chan *, const struct msg *);
static void	on_refused(struct chan *, const struct msg *);
static void	on_hashes(struct chan *, const struct msg *);
static void	on_lost(struct chan *, const struct msg *);
static void	client_closed(struct chan *, const char *, bool);

static const struct rule rules_v[] = {
	{ EXEC_JOB_CREDIT, STATES_ALL, on_credit },
	{ EXEC_JOB_DONE, STATES_ALL, on_done },
	{ EXEC_JOB_REFUSED, STATES_ALL, on_refused },
	{ EXEC_FILE_HASHES, STATES_ALL, on_hashes },
	{ CTL_SESSION_LOST, STATES_ALL, on_lost },
};

static const struct rules client_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_R | FROM_E,
	client_closed
};

bool
sync_init(void)
{
	const struct rules	*rules;
	void			*arg;
	int			 sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1) {
		log_error("socketpair");
		return false;
	}
	if (getrandom(salt, sizeof(salt), 0) != sizeof(salt)) {
		log_error("getrandom");
		close(sv[0]);
		close(sv[1]);
		return false;
	}
	rules = sync_rules(&arg);
	server = chan_new(child_base(), sv[0], "sync", rules, arg);
	client = chan_new(child_base(), sv[1], "sync", &client_rules, NULL);
	return server != NULL && client != NULL;
}

struct chan *
sync_chan(void)
{
	return server;
}

/* Both ends are ours: a fault between them is a fault of ours. */
static void
client_closed(struct chan *c, const char *why, bool protocol)
{
	fatalx("sync: %s", why);
}

static void
sync_tell(const struct sync *s, const char *phase, const char *message)
{
	struct ctl_sync_event e = {
		.user = slice_str(s->user), .runner = slice_str(s->name),
		.phase = slice_str(phase), .message = slice_str(message),
	};

	chan_send(child_peer(ROLE_FRONT), CTL_SYNC_EVENT, 0, &e);
	chan_send(child_peer(ROLE_CONTROL), CTL_SYNC_EVENT, 0, &e);
}

static void
sync_free(struct sync *s)
{
	if (s->step != SYNC_WAITING) {
		active--;
		TAILQ_REMOVE(&copying, s, active);
		source_give(s->source);
		chan_send(client, CTL_SESSION_CLOSE, s->serial, NULL);
	}
	TAILQ_REMOVE(&syncs, s, entry);
	if (s->timer != NULL)
		event_free(s->timer);
	free(s->user);
	free(s->name);
	free(s->same);
	free(s->dir);
	free(s);
}

static struct sync *
sync_find(uint64_t serial)
{
	struct sync *s;

	TAILQ_FOREACH(s, &syncs, entry)
		if (s->step != SYNC_WAITING && s->serial == serial)
			return s;
	return NULL;
}

/* The operation that the message is about must be the one in hand. */
static struct sync *
sync_of(const struct msg *m)
{
	struct sync *s = sync_find(m->serial);

	return s != NULL && memcmp(m->body, s->job.b, sizeof(s->job.b)) == 0 ?
	    s : NULL;
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	sync_end(arg, "it took more than a minute");
}

static void
sync_begin(struct sync *s)
{
	struct ctl_session_open	open = { slice_str(s->user),
				    slice_str(s->name) };
	struct timeval		tv = { .tv_sec = SYNC_SECONDS };

	active++;
	TAILQ_INSERT_TAIL(&copying, s, active);
	s->n = s->source->n;
	s->files = s->source->v;
	s->step = SYNC_HASHES;
	s->same = calloc(s->n + 1, sizeof(bool));
	s->timer = evtimer_new(child_base(), on_timeout, s);
	if (s->same == NULL || s->timer == NULL) {
		sync_end(s, "out of memory");
		return;
	}
	evtimer_add(s->timer, &tv);
	sync_tell(s, "start", "copying skills and agents");
	chan_send(client, CTL_SESSION_OPEN, s->serial, &open);
	sync_next(s);
}

/* The first whose turn it is: a user with many runners, or with slow ones, is
 * not to keep the others waiting. */
static struct sync *
sync_waiting(void)
{
	struct sync	*s, *other;
	unsigned int	 n;

	TAILQ_FOREACH(s, &syncs, entry) {
		if (s->step != SYNC_WAITING)
			continue;
		n = 0;
		TAILQ_FOREACH(other, &copying, active)
			n += strcmp(other->user, s->user) == 0;
		if (n < USER_MAX)
			return s;
	}
	return NULL;
}

void
sync_ready(void)
{
	static bool	 inside;
	struct sync	*s;

	/* One that ends as soon as it begins calls us again. */
	if (inside)
		return;
	inside = true;
	while (active < ACTIVE_MAX && (s = sync_waiting()) != NULL &&
	    (s->source = source_take()) != NULL) {
		if (s->source->n > 0) {
			sync_begin(s);
			continue;
		}
		source_give(s->source);
		sync_free(s);
	}
	inside = false;
}

void
sync_start(const struct link *l)
{
	static uint64_t	 last;
	struct sync	*s;

	/* Without a workspace there is nowhere to put them. */
	if (l->workspace == NULL || l->workspace[0] == '\0')
		return;
	TAILQ_FOREACH(s, &syncs, entry)
		if (strcmp(s->user, l->user) == 0 &&
		    strcmp(s->name, l->name) == 0) {
			if (s->step == SYNC_WAITING)
				sync_free(s);
			else
				sync_end(s, "the runner came again");
			break;
		}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return;
	TAILQ_INSERT_TAIL(&syncs, s, entry);
	s->serial = ++last;
	s->is_v2 = l->is_v2;
	s->user = strdup(l->user);
	s->name = strdup(l->name);
	if (s->user == NULL || s->name == NULL)
		sync_free(s);
	else
		sync_ready();
}

/* The session's end says what came of it; why NULL: all was done. */
static void
sync_end(struct sync *s, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "%zu copied, %zu there already, "
	    "%zu failed%s%s", s->copied, s->kept, s->failed,
	    why != NULL ? ": " : "", why != NULL ? why : "");
	sync_tell(s, "done", text);
	if (s->failed > 0 || why != NULL)
		log_warnx("sync %s %s: %s", s->user, s->name, text);
	else
		log_debug("sync %s %s: %s", s->user, s->name, text);
	sync_free(s);
	sync_ready();
}

static struct id16
sync_job(struct sync *s)
{
	static uint64_t last;

	/* A runner may still work for the remote before this one. */
	last++;
	memcpy(s->job.b, salt, sizeof(salt));
	memcpy(s->job.b + 8, &last, sizeof(last));
	return s->job;
}

static void
hashes_ask(struct sync *s)
{
	struct slice		 paths[HASH_BATCH];
	struct exec_file_hash	 ask = { .job = sync_job(s) };
	size_t			 bytes = 0;
	uint32_t		 n;

	for (n = 0; n < HASH_BATCH && s->hashed + n < s->n; n++) {
		paths[n] = slice_str(s->files[s->hashed + n].path);
		if ((bytes += paths[n].len + 8) > HASH_BYTES)
			break;
	}
	s->asked = n;
	ask.paths = (struct slices){ paths, n };
	if (chan_send(client, EXEC_FILE_HASH, s->serial, &ask))
		return;
	/* No memory for the question: then they are all copied. */
	s->hashed = s->n;
	sync_next(s);
}

/* The directory of a path, made before its first file. */
static bool
dir_needed(struct sync *s, const char *path)
{
	const char	*slash = strrchr(path, '/');
	size_t		 n = slash == NULL ? 0 : (size_t)(slash - path);

	/* Made already, or on the way to one below it. */
	if (s->dir != NULL && strncmp(s->dir, path, n) == 0 &&
	    (s->dir[n] == '\0' || s->dir[n] == '/'))
		return false;
	free(s->dir);
	s->dir = strndup(path, n);
	return n > 0 && s->dir != NULL;
}

static void
dir_make(struct sync *s)
{
	struct exec_file_mkdir mkdir = { .job = sync_job(s),
	    .path = slice_str(s->dir), .mode = DIR_MODE, .parents = true };

	s->step = SYNC_DIR;
	chan_send(client, EXEC_FILE_MKDIR, s->serial, &mkdir);
}

static void
file_send(struct sync *s)
{
	struct exec_file_put put = { .job = sync_job(s),
	    .path = slice_str(s->files[s->at].path), .mode = FILE_MODE };

	s->step = SYNC_FILE;
	s->sent = 0;
	s->ended = false;
	chan_send(client, EXEC_FILE_PUT, s->serial, &put);
}

static void
sync_next(struct sync *s)
{
	if (s->is_v2 && s->hashed < s->n) {
		hashes_ask(s);
		return;
	}
	for (; s->at < s->n && s->same[s->at]; s->at++)
		s->kept++;
	if (s->at == s->n)
		sync_end(s, NULL);
	else if (dir_needed(s, s->files[s->at].path))
		dir_make(s);
	else
		file_send(s);
}

static void
on_hashes(struct chan *c, const struct msg *m)
{
	const struct exec_file_hashes	*h = m->body;
	struct sync			*s = sync_of(m);
	uint32_t			 i;

	if (s == NULL || s->step != SYNC_HASHES || h->sizes.n != h->hashes.n)
		return;
	for (i = 0; i < h->sizes.n && i < s->asked; i++)
		s->same[s->hashed + i] =
		    h->sizes.v[i] == s->files[s->hashed + i].size &&
		    h->hashes.v[i] == s->files[s->hashed + i].hash;
}

static void
on_credit(struct chan *c, const struct msg *m)
{
	const struct exec_job_credit	*credit = m->body;
	struct sync			*s = sync_of(m);
	const struct source_file	*f;
	struct exec_job_data		 data;
	struct exec_job_eof		 eof;
	uint64_t			 upto;
	size_t				 n;

	if (s == NULL || s->step != SYNC_FILE || s->ended)
		return;
	f = &s->files[s->at];
	upto = credit->upto < f->size ? credit->upto : f->size;
	while (s->sent < upto) {
		n = (size_t)(upto - s->sent);
		if (n > FRAME_CHUNK)
			n = FRAME_CHUNK;
		data = (struct exec_job_data){ s->job, STREAM_FILE, s->sent,
		    { f->data + s->sent, n } };
		chan_send(client, EXEC_JOB_DATA, s->serial, &data);
		s->sent += n;
	}
	if (s->sent == f->size) {
		s->ended = true;
		eof = (struct exec_job_eof){ s->job, STREAM_FILE, s->sent };
		chan_send(client, EXEC_JOB_EOF, s->serial, &eof);
	}
}

static void
on_done(struct chan *c, const struct msg *m)
{
	struct sync *s = sync_of(m);

	if (s == NULL)
		return;
	if (s->step == SYNC_HASHES)
		s->hashed += s->asked;
	else if (s->step == SYNC_FILE) {
		s->copied++;
		s->at++;
	} else if (s->step == SYNC_DIR) {
		file_send(s);
		return;
	}
	sync_next(s);
}

static void
on_refused(struct chan *c, const struct msg *m)
{
	const struct exec_job_refused	*r = m->body;
	struct sync			*s = sync_of(m);
	char				 text[300];

	if (s == NULL)
		return;
	if (s->step == SYNC_HASHES) {
		/* An older runner: it gets them all. */
		s->hashed = s->n;
		sync_next(s);
		return;
	}
	if (s->step == SYNC_DIR) {
		/* It may be there; the file will tell. */
		file_send(s);
		return;
	}
	log_info("sync %s %s: %s: %s", s->user, s->name,
	    s->files[s->at].path, log_vis(text, sizeof(text), r->text.p,
	    r->text.len));
	s->failed++;
	s->at++;
	sync_next(s);
}

static void
on_lost(struct chan *c, const struct msg *m)
{
	struct sync *s = sync_find(m->serial);

	if (s != NULL)
		sync_end(s, "the runner has gone");
}
