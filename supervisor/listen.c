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

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/listener.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "supervisor/conf.h"
#include "supervisor/listen.h"
#include "supervisor/proc.h"

#define BACKLOG		1024

struct listener {
	TAILQ_ENTRY(listener)	 entry;
	enum role		 role;
	uint32_t		 flags;		/* enum listener_flags */
	uint32_t		 next_flags;	/* by the newest configuration */
	char			 name[128];	/* address, or path */
	sa_family_t		 family;
	uint16_t		 port;		/* 0: a path */
	int			 fd;
	bool			 wanted;	/* by the newest configuration */
	bool			 fresh;		/* not handed out yet */
};

static TAILQ_HEAD(, listener)	 listeners =
				    TAILQ_HEAD_INITIALIZER(listeners);

static const struct {
	unsigned int	conf;
	uint32_t	flag;
} flag_map[] = {
	{ CONF_LISTEN_API, LISTENER_API },
	{ CONF_LISTEN_WS, LISTENER_WS },
	{ CONF_LISTEN_METRICS, LISTENER_METRICS },
	{ CONF_LISTEN_TLS, LISTENER_TLS },
};

/* What the log says of a listener that is not the API's. */
static const struct {
	uint32_t	 flag;
	const char	*text;
} serves[] = {
	{ LISTENER_API, "" },
	{ LISTENER_SKILL, ", skills" },
	{ LISTENER_WS, ", runners only" },
};

static struct listener *
listener_add(enum role role, uint32_t flags, const char *name, int fd)
{
	struct listener *l;

	if ((l = calloc(1, sizeof(*l))) == NULL) {
		close(fd);
		return NULL;
	}
	l->role = role;
	l->flags = l->next_flags = flags;
	l->fd = fd;
	l->wanted = l->fresh = true;
	snprintf(l->name, sizeof(l->name), "%s", name);
	TAILQ_INSERT_TAIL(&listeners, l, entry);
	return l;
}

/* One that is open already stays so, whatever it serves from now on. */
static bool
listener_keep(const char *name, uint32_t flags)
{
	struct listener *l;

	TAILQ_FOREACH(l, &listeners, entry)
		if (strcmp(l->name, name) == 0) {
			l->next_flags = flags;
			return l->wanted = true;
		}
	return false;
}

static const char *
serves_text(uint32_t flags)
{
	size_t i;

	for (i = 0; i < sizeof(serves) / sizeof(serves[0]); i++)
		if (flags & serves[i].flag)
			return serves[i].text;
	return "";
}

static uint32_t
listener_flags(const struct conf_listen *cl)
{
	uint32_t	flags = 0;
	size_t		i;

	for (i = 0; i < sizeof(flag_map) / sizeof(flag_map[0]); i++)
		if (cl->flags & flag_map[i].conf)
			flags |= flag_map[i].flag;
	return flags;
}

/*
 * A reload may widen an address, 127.0.0.1 to 0.0.0.0, or narrow it: the old
 * one is open until nothing can fail any more, and must not be in the way.
 */
static bool
port_share(const struct conf_listen *cl)
{
	struct listener	*l;
	int		 on = 1;
	bool		 ours = false;

	TAILQ_FOREACH(l, &listeners, entry) {
		if (l->port != cl->port || l->family != cl->ss.ss_family)
			continue;
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		ours = true;
	}
	return ours;
}

static bool
tcp_open(const struct conf_listen *cl, uint32_t flags)
{
	struct listener	*l;
	char		 name[128];
	int		 fd, on = 1;

	snprintf(name, sizeof(name), "%s port %u", cl->host, cl->port);
	if (listener_keep(name, flags))
		return true;
	fd = socket(cl->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (fd == -1)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (port_share(cl) || cl->flags & CONF_LISTEN_SHARED)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (cl->ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&cl->ss, cl->sslen) == -1 ||
	    listen(fd, BACKLOG) == -1)
		goto fail;
	log_info("listening on %s%s%s", name, flags & LISTENER_TLS ?
	    ", TLS" : "", serves_text(flags));
	if ((l = listener_add(ROLE_FRONT, flags, name, fd)) == NULL)
		return false;
	l->family = cl->ss.ss_family;
	l->port = cl->port;
	return true;
fail:
	log_error("listen on %s", name);
	if (fd != -1)
		close(fd);
	return false;
}

/* A socket that still answers belongs to a supervisor that still runs. */
static bool
control_clear(const struct sockaddr_un *sun)
{
	struct stat	st;
	int		fd;

	if (lstat(sun->sun_path, &st) == -1)
		return errno == ENOENT;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return false;
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return false;
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0) {
		close(fd);
		errno = EADDRINUSE;
		return false;
	}
	close(fd);
	return unlink(sun->sun_path) == 0;
}

/* Whose the control socket is; -1: without a group, or root, the owner's. */
static bool
control_group(const struct conf *conf, gid_t *gid)
{
	struct group *gr;

	*gid = (gid_t)-1;
	if (conf->control_group == NULL || geteuid() != 0)
		return true;
	if ((gr = getgrnam(conf->control_group)) == NULL) {
		log_errorx("control socket: no group %s", conf->control_group);
		return false;
	}
	*gid = gr->gr_gid;
	return true;
}

/* Not where a link leads: a reload comes here long after the bind. */
static bool
control_own(const char *path, gid_t gid)
{
	return lchown(path, geteuid(), gid) == 0 && fchmodat(AT_FDCWD, path,
	    gid == (gid_t)-1 ? 0600 : 0660, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
control_open(const struct conf *conf)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };
	gid_t			gid;
	mode_t			old;
	int			fd, rc;

	if (snprintf(sun.sun_path, sizeof(sun.sun_path), "%s",
	    conf->control_path) >= (int)sizeof(sun.sun_path)) {
		log_errorx("control socket %s: the path is too long",
		    conf->control_path);
		return false;
	}
	if (!control_group(conf, &gid))
		return false;
	if (listener_keep(sun.sun_path, LISTENER_API | LISTENER_UNIX)) {
		/* Somebody may have removed it, which must not keep the rest
		 * from being reloaded. */
		if (!control_own(sun.sun_path, gid))
			log_warn("control socket %s", sun.sun_path);
		return true;
	}
	if (!control_clear(&sun) || (fd = socket(AF_UNIX, SOCK_STREAM |
	    SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1) {
		log_error("control socket %s", sun.sun_path);
		return false;
	}
	old = umask(0177);
	rc = bind(fd, (const struct sockaddr *)&sun, sizeof(sun));
	umask(old);
	if (rc == -1 || !control_own(sun.sun_path, gid) ||
	    listen(fd, BACKLOG) == -1) {
		log_error("control socket %s", sun.sun_path);
		close(fd);
		return false;
	}
	return listener_add(ROLE_CONTROL, LISTENER_API | LISTENER_UNIX,
	    sun.sun_path, fd) != NULL;
}

/*
 * Front and control hold copies of the socket: shutting it down ends those as
 * well, their accept fails with EINVAL.
 */
static void
listener_end(struct listener *l)
{
	log_info("no longer listening on %s", l->name);
	if (l->flags & LISTENER_UNIX)
		unlink(l->name);
	shutdown(l->fd, SHUT_RDWR);
	close(l->fd);
	TAILQ_REMOVE(&listeners, l, entry);
	free(l);
}

bool
listen_open(const struct conf *conf)
{
	const struct conf_listen	*cl;
	struct listener			*l, *next;
	bool				 ok = true;

	TAILQ_FOREACH(l, &listeners, entry) {
		l->wanted = false;
		l->next_flags = l->flags;
	}
	TAILQ_FOREACH(cl, &conf->listens, entry)
		ok = ok && tcp_open(cl, listener_flags(cl));
	if (conf->skill.enabled)
		ok = ok && tcp_open(conf->skill.listen, LISTENER_SKILL);
	if (ok && (conf->skill_only || control_open(conf)))
		return true;
	/* As it was before. */
	for (l = TAILQ_FIRST(&listeners); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (l->fresh)
			listener_end(l);
	}
	return false;
}

static void
listener_send(const struct listener *l, struct chan *c)
{
	struct ctl_listener	msg = { l->flags, slice_str(l->name) };
	int			fd;

	if ((fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0)) == -1)
		log_warn("listener %s", l->name);
	else
		chan_send_fd(c, CTL_LISTENER, 0, &msg, fd);
}

void
listen_commit(void)
{
	struct listener *l, *next;

	for (l = TAILQ_FIRST(&listeners); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		/* Front replaces one of the same name. */
		if (l->flags != l->next_flags)
			l->fresh = true;
		l->flags = l->next_flags;
		if (l->fresh && proc_chan(l->role) != NULL)
			listener_send(l, proc_chan(l->role));
		l->fresh = false;
		if (!l->wanted)
			listener_end(l);
	}
}

void
listen_hand_out(enum role role, struct chan *c)
{
	struct listener *l;

	TAILQ_FOREACH(l, &listeners, entry)
		if (l->role == role && !l->fresh)
			listener_send(l, c);
}

void
listen_close(void)
{
	struct listener *l;

	TAILQ_FOREACH(l, &listeners, entry)
		if (l->flags & LISTENER_UNIX)
			unlink(l->name);
}
