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
 * libcurl's multi interface on the event loop: its sockets and its clock.
 * Runs in: docker, llm, xbot-runner.  Owns: the multi handle, an event a socket.
 * Which transfers there are is its owner's business.
 */

#ifndef BASE_CURL_LOOP_H
#define BASE_CURL_LOOP_H

#include <stdbool.h>

#include <curl/curl.h>

struct event;
struct event_base;

/*
 * From the loop: curl has something to do.  It calls
 * curl_multi_socket_action(multi, fd, what, ...) and looks for what ended.
 */
typedef void	curl_loop_act(void *arg, curl_socket_t fd, int what);

struct curl_loop {
	CURLM			*multi;
	struct event_base	*base;
	struct event		*timer;
	curl_loop_act		*act;
	void			*arg;
};

/* Initialises curl as well.  false: no memory; clear it all the same. */
bool	 curl_loop_init(struct curl_loop *, struct event_base *,
	    curl_loop_act *, void *arg);
/* All easy handles have been removed.  One of zeros is fine. */
void	 curl_loop_clear(struct curl_loop *);

#endif
