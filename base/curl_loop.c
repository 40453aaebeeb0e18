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
 * See curl_loop.h.  A socket's event is kept with curl, which says when the
 * socket goes.
 */

#include <string.h>

#include <event2/event.h>

#include "base/curl_loop.h"

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct curl_loop *l = arg;

	l->act(l->arg, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) |
	    (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct curl_loop *l = arg;

	l->act(l->arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *priv)
{
	struct curl_loop	*l = arg;
	struct event		*ev = priv;

	if (ev != NULL)
		event_free(ev);
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(l->multi, fd, NULL);
		return 0;
	}
	ev = event_new(l->base, fd, EV_PERSIST |
	    (what & CURL_POLL_IN ? EV_READ : 0) |
	    (what & CURL_POLL_OUT ? EV_WRITE : 0), on_socket, l);
	curl_multi_assign(l->multi, fd, ev);
	return ev != NULL && event_add(ev, NULL) == 0 ? 0 : -1;
}

static int
curl_timer(CURLM *multi, long ms, void *arg)
{
	struct curl_loop	*l = arg;
	struct timeval		 tv = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000 };

	if (ms < 0)
		return evtimer_del(l->timer);
	return evtimer_add(l->timer, &tv);
}

bool
curl_loop_init(struct curl_loop *l, struct event_base *base,
    curl_loop_act *act, void *arg)
{
	static bool	 global;
	CURLM		*m;

	memset(l, 0, sizeof(*l));
	if (!global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	global = true;
	l->base = base;
	l->act = act;
	l->arg = arg;
	l->timer = evtimer_new(base, on_timer, l);
	l->multi = m = curl_multi_init();
	return l->timer != NULL && m != NULL &&
	    curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, curl_socket) ==
	    CURLM_OK &&
	    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, l) == CURLM_OK &&
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, curl_timer) ==
	    CURLM_OK &&
	    curl_multi_setopt(m, CURLMOPT_TIMERDATA, l) == CURLM_OK;
}

void
curl_loop_clear(struct curl_loop *l)
{
	if (l->multi != NULL)
		curl_multi_cleanup(l->multi);
	if (l->timer != NULL)
		event_free(l->timer);
	memset(l, 0, sizeof(*l));
}
