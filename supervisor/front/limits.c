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
 * What one user may have at once, so that the others do not notice.
 * Runs in: front.  Administrators on the control socket have no limits.
 * Owns: a bounded table of users that were here lately.
 */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "supervisor/front/front.h"
#include "supervisor/front/session.h"

#define BUCKETS		4096
#define USERS_MAX	65536	/* in the table; past it the new are refused */
#define SWEEP_MS	10000

struct usage {
	struct usage	*next;
	char		 user[ID_USER_MAX + 1];
	unsigned int	 execs;
	unsigned int	 ptys;
	unsigned int	 starting;	/* tasks */
	unsigned int	 llms;
	double		 tokens;	/* of the rate; 1 a request */
	uint64_t	 at_ms;		/* when tokens was right */
};

static struct usage	*buckets[BUCKETS];
static size_t		 nusers;
static uint64_t		 swept_ms;

static struct usage	*usage_get(const char *, bool);
static void		 usage_sweep(uint64_t);

/* Who has nothing running and a full bucket need not be remembered. */
static void
usage_sweep(uint64_t now)
{
	struct usage	**at, *u;
	size_t		 i;

	swept_ms = now;
	for (i = 0; i < BUCKETS; i++)
		for (at = &buckets[i]; (u = *at) != NULL; ) {
			if (u->execs + u->ptys + u->starting + u->llms > 0 ||
			    now - u->at_ms < 2000) {
				at = &u->next;
				continue;
			}
			*at = u->next;
			free(u);
			nusers--;
		}
}

static struct usage *
usage_get(const char *user, bool make)
{
	struct usage	*u;
	const char	*s;
	uint64_t	 now = clock_ms();
	uint32_t	 h = 2166136261u;

	for (s = user; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	h %= BUCKETS;
	for (u = buckets[h]; u != NULL; u = u->next)
		if (strcmp(u->user, user) == 0)
			return u;
	if (!make)
		return NULL;
	if (now - swept_ms >= SWEEP_MS)
		usage_sweep(now);
	if (nusers == USERS_MAX || (u = calloc(1, sizeof(*u))) == NULL)
		return NULL;
	memcpy(u->user, user, strlen(user) + 1);
	u->tokens = front.conf.user_rate;
	u->at_ms = now;
	u->next = buckets[h];
	buckets[h] = u;
	nusers++;
	return u;
}

bool
limit_rate(struct req *r)
{
	double		 rate = front.conf.user_rate;
	struct usage	*u;
	uint64_t	 now;

	if (front.control || rate == 0 || r->user[0] == '\0')
		return true;
	if ((u = usage_get(r->user, true)) == NULL) {
		req_error(r, XERR_EBUSY, "too many users at once");
		return false;
	}
	now = clock_ms();
	u->tokens += (double)(now - u->at_ms) * rate / 1000;
	if (u->tokens > rate)
		u->tokens = rate;
	u->at_ms = now;
	if (u->tokens < 1) {
		req_error(r, XERR_EBUSY, "more than %u requests a second",
		    front.conf.user_rate);
		return false;
	}
	u->tokens -= 1;
	return true;
}

bool
limit_exec(struct req *r)
{
	struct usage *u;

	if (front.control || front.conf.user_exec == 0)
		return true;
	if ((u = usage_get(r->user, true)) == NULL ||
	    u->execs >= front.conf.user_exec) {
		req_error(r, XERR_EBUSY, "more than %u commands at once",
		    front.conf.user_exec);
		return false;
	}
	u->execs++;
	r->slot = true;
	return true;
}

void
limit_release(struct req *r)
{
	struct usage *u;

	if (!r->slot)
		return;
	r->slot = false;
	if ((u = usage_get(r->user, false)) != NULL && u->execs > 0)
		u->execs--;
}

bool
limit_pty(struct req *r)
{
	struct usage *u;

	if ((u = usage_get(r->user, true)) == NULL || (!front.control &&
	    front.conf.user_pty != 0 && u->ptys >= front.conf.user_pty)) {
		req_error(r, XERR_EBUSY, "more than %u streams at once",
		    front.conf.user_pty);
		return false;
	}
	u->ptys++;
	return true;
}

void
limit_pty_release(const char *user)
{
	struct usage *u = usage_get(user, false);

	if (u != NULL && u->ptys > 0)
		u->ptys--;
}

bool
limit_task(struct req *r)
{
	struct usage *u;

	if ((u = usage_get(r->user, true)) == NULL || (!front.control &&
	    front.conf.user_task != 0 &&
	    u->starting >= front.conf.user_task)) {
		req_error(r, XERR_EBUSY, "more than %u tasks at once",
		    front.conf.user_task);
		return false;
	}
	u->starting++;
	return true;
}

void
limit_task_release(const char *user)
{
	struct usage *u = usage_get(user, false);

	if (u != NULL && u->starting > 0)
		u->starting--;
}

unsigned int
limit_task_starting(const char *user)
{
	struct usage *u = usage_get(user, false);

	return u != NULL ? u->starting : 0;
}

bool
limit_llm(struct req *r)
{
	struct usage *u;

	if ((u = usage_get(r->user, true)) == NULL || (!front.control &&
	    front.conf.user_llm != 0 && u->llms >= front.conf.user_llm)) {
		req_error(r, XERR_EBUSY, "more than %u calls of a model at "
		    "once", front.conf.user_llm);
		return false;
	}
	u->llms++;
	return true;
}

void
limit_llm_release(const char *user)
{
	struct usage *u = usage_get(user, false);

	if (u != NULL && u->llms > 0)
		u->llms--;
}
