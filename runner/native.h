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
 * Native mode: the executor that this program carries inside itself.
 * Runs in: xbot-runner.  Owns: the executor's process and the channel to it.
 */

#ifndef RUNNER_NATIVE_H
#define RUNNER_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;

/* Lends workspace for life.  false: it cannot be started, the log said why. */
bool	 native_start(struct event_base *, const char *workspace,
	    bool full_control);
/* Let it end its jobs and itself; done comes from the loop when it is gone. */
void	 native_stop(void (*done)(void));
/* At once, with whatever it runs. */
void	 native_kill(void);
/* SIGCHLD came. */
void	 native_reap(void);

/* A message of exec.def.  false: it is too large, or there is no executor. */
bool	 native_send(uint16_t type, const void *body);
bool	 native_up(void);

#endif
