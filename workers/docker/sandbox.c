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
 * The table of sandboxes and who works on them.  Runs in: docker.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/container.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "proto/fnv.h"
#include "workers/docker/docker.h"

#define TRIM	4096	/* entries, from one look to the next */

static struct table	sandboxes;	/* by hash of the user */

static uint64_t
user_key(const char *user)
{
	return fnv1a(FNV1A_START, user, strlen(user));
}

struct sandbox *
sandbox_find(const char *user)
{
	struct table_node *node = table_find(&sandboxes, user_key(user));

	while (node != NULL &&
	    strcmp(((struct sandbox *)node)->user, user) != 0)
		node = table_same(node);
	return (struct sandbox *)node;
}

/* Nothing of it is anywhere but here, and nobody works on it. */
static void
absent_free(struct table_node *node, void *arg)
{
	struct sandbox *s = (struct sandbox *)node;

	if (s->state != SANDBOX_ABSENT || s->container[0] != '\0' ||
	    s->claimed != NULL || s->wanted != 0 || s->held || s->busy ||
	    s->unsaved)
		return;
	table_remove(&sandboxes, node);
	free(s);
}

struct sandbox *
sandbox_get(const char *user)
{
	struct sandbox *s = sandbox_find(user);

	if (s != NULL)
		return s;
	/* Users come and go: now and then those that have gone are let go. */
	if (sandboxes.n % TRIM == TRIM - 1)
		table_each(&sandboxes, absent_free, NULL);
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	memcpy(s->user, user, strlen(user) + 1);
	sandbox_name(user, s->name);
	if (!table_add(&sandboxes, &s->node, user_key(user))) {
		free(s);
		return NULL;
	}
	return s;
}

bool
sandbox_name(const char *user, char dst[SANDBOX_NAME_MAX])
{
	if (!id_user_ok(slice_str(user)))
		return false;
	memcpy(dst, "xbot-", 5);
	container_encode(dst + 5, SANDBOX_NAME_MAX - 5, user);
	return true;
}

struct each {
	void	(*f)(struct sandbox *, void *);
	void	*arg;
};

static void
each_node(struct table_node *node, void *arg)
{
	const struct each *e = arg;

	e->f((struct sandbox *)node, e->arg);
}

void
sandbox_each(void (*f)(struct sandbox *, void *), void *arg)
{
	struct each e = { f, arg };

	table_each(&sandboxes, each_node, &e);
}

struct search {
	const char	*id;
	struct sandbox	*found;
};

static void
container_match(struct sandbox *s, void *arg)
{
	struct search *search = arg;

	if (strcmp(s->container, search->id) == 0)
		search->found = s;
}

struct sandbox *
sandbox_by_container(const char *id)
{
	struct search search = { id, NULL };

	if (id[0] != '\0')
		sandbox_each(container_match, &search);
	return search.found;
}

bool
sandbox_claim(struct sandbox *s, const char *who)
{
	if (s->claimed != NULL)
		return false;
	s->claimed = who;
	return true;
}

/* box's question may have waited for this. */
static void
sandbox_go_on(struct sandbox *s, void *arg)
{
	if (s->wanted != 0 && s->claimed == NULL && journal_ready())
		sandbox_start(s);
}

void
sandbox_release(struct sandbox *s)
{
	s->claimed = NULL;
	sandbox_go_on(s, NULL);
}

void
sandboxes_known(void)
{
	sandbox_each(sandbox_go_on, NULL);
}

static void
held_tell(struct sandbox *s)
{
	struct ctl_sandbox_held h = { slice_str(s->user), s->held,
	    slice_str(s->claimed != NULL ? s->claimed : "") };

	chan_send(child_peer(ROLE_BOX), CTL_SANDBOX_HELD, 0, &h);
}

void
sandbox_hold(struct sandbox *s, bool held)
{
	if (s->held == held)
		return;
	s->held = held;
	held_tell(s);
}

/* What the one before had asked is nobody's question any more. */
static void
sandbox_box_up(struct sandbox *s, void *arg)
{
	s->wanted = 0;
	s->busy = false;
	if (s->held)
		held_tell(s);
}

void
sandboxes_box_up(void)
{
	sandbox_each(sandbox_box_up, NULL);
}

const char *
sandbox_state_name(enum sandbox_state state)
{
	static const char *const names[] = {
		[SANDBOX_ABSENT] = "absent",
		[SANDBOX_CREATING] = "creating",
		[SANDBOX_RUNNING] = "running",
		[SANDBOX_COMMITTING] = "committing",
		[SANDBOX_STOPPED] = "stopped"
	};

	return names[state];
}

void
sandbox_set_state(struct sandbox *s, enum sandbox_state state)
{
	struct ctl_sandbox_event e = { slice_str(s->user),
	    slice_str(sandbox_state_name(state)) };

	if (s->state == state)
		return;
	s->state = state;
	chan_send(child_peer(ROLE_FRONT), CTL_SANDBOX_EVENT, 0, &e);
	chan_send(child_peer(ROLE_CONTROL), CTL_SANDBOX_EVENT, 0, &e);
}

int
sandbox_box_dir(const char *user)
{
	int dir;

	if ((mkdirat(docker_box, user, 0755) == -1 && errno != EEXIST) ||
	    (dir = openat(docker_box, user, O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC)) == -1)
		return -1;
	if (fchmod(dir, 0755) == 0)
		return dir;
	close(dir);
	return -1;
}

void
sandbox_box_remove(const char *user)
{
	static const char *const names[] = {
		"executor", "executor.new", "sock", "sock.new"
	};
	char	path[ID_USER_MAX + 16];
	size_t	i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", user, names[i]);
		unlinkat(docker_box, path, 0);
	}
	unlinkat(docker_box, user, AT_REMOVEDIR);
}

void
on_executor_wanted(struct chan *c, const struct msg *m)
{
	const struct ctl_executor_wanted *w = m->body;
	struct ctl_executor_refused	  no = { w->user, XERR_EBUSY,
	    slice_str("out of memory") };
	struct sandbox			 *s;
	char				  user[ID_USER_MAX + 1];

	if (!slice_copy(user, sizeof(user), w->user) || !id_user_ok(w->user)) {
		chan_refuse(c, "not a user id");
		return;
	}
	if ((s = sandbox_get(user)) == NULL) {
		chan_send(c, CTL_EXECUTOR_REFUSED, m->serial, &no);
		return;
	}
	s->wanted = m->serial;
	s->activity++;
	s->used = time(NULL);
	if (s->held)
		held_tell(s);
	sandbox_go_on(s, NULL);
}

void
on_sandbox_activity(struct chan *c, const struct msg *m)
{
	const struct ctl_sandbox_activity	*a = m->body;
	struct sandbox				*s;
	char					 user[ID_USER_MAX + 1];

	/* Box may be faster than ledger, whose records are not there yet. */
	if (!slice_copy(user, sizeof(user), a->user) ||
	    !id_user_ok(a->user) || (s = sandbox_get(user)) == NULL)
		return;
	s->activity++;
	s->used = time(NULL);
	s->busy = a->busy;
}
