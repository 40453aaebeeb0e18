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

#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "proto/fnv.h"
#include "workers/docker/docker.h"

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

struct sandbox *
sandbox_get(const char *user)
{
	struct sandbox *s = sandbox_find(user);

	if (s != NULL)
		return s;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	memcpy(s->user, user, strlen(user) + 1);
	if (!table_add(&sandboxes, &s->node, user_key(user))) {
		free(s);
		return NULL;
	}
	return s;
}

bool
sandbox_claim(struct sandbox *s, const char *who)
{
	if (s->claimed != NULL)
		return false;
	s->claimed = who;
	return true;
}

void
sandbox_release(struct sandbox *s)
{
	s->claimed = NULL;
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

void
on_executor_wanted(struct chan *c, const struct msg *m)
{
	const struct ctl_executor_wanted *w = m->body;
	struct ctl_executor_refused	  no = { w->user, XERR_EOFFLINE,
	    slice_str("containers are not built into this version") };

	chan_send(c, CTL_EXECUTOR_REFUSED, m->serial, &no);
}

void
on_sandbox_why(struct chan *c, const struct msg *m)
{
}

void
on_sandbox_activity(struct chan *c, const struct msg *m)
{
}

void
on_workdir(struct chan *c, const struct msg *m)
{
}
