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
 * Writing to a plain socket bufferevent without a turn of the loop.
 * Runs in: front, control, xbot-runner.  Owns nothing.
 *
 * EV_WRITE stays disabled while nothing is left unsent: libevent would else
 * call epoll_ctl twice and epoll_wait once for each small answer.
 */

#ifndef BASE_BEVIO_H
#define BASE_BEVIO_H

#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct iovec;

/*
 * Sends now what the output buffer holds and lets the loop do the rest.
 * raw: a plain socket; else (TLS) the loop does all of it.  Returns 0, or -1
 * when the connection is dead.
 */
int	 bevio_flush(struct bufferevent *, int raw);
/* The same for what stands in iov, behind what was there; iov is changed. */
int	 bevio_writev(struct bufferevent *, int raw, struct iovec *, int n);
/* From the write callback: nothing left, so stop asking. */
void	 bevio_drained(struct bufferevent *, int raw);
/*
 * After each turn: stop reading when the input holds high bytes that nobody
 * took, and start again.  (libevent 2.1 itself calls the read callback over
 * and over while its own watermark is reached.)  Over TLS there
 * must be no read watermark at all: what it leaves of a record in OpenSSL's
 * buffer wakes nobody.
 */
void	 bevio_read_ahead(struct bufferevent *, size_t high);
/* Unsent bytes. */
size_t	 bevio_pending(struct bufferevent *);
/*
 * And those the kernel holds for a peer that did not take them: a slow reader
 * shows only there, since a socket is writable again when a third is free.
 */
size_t	 bevio_untaken(struct bufferevent *);

/*
 * TLS alone: tells the peer that this is our end (close_notify) and not an
 * attacker's.  Nothing may be pending.  Who sets up TLS sets the hook; plain
 * bufferevents are fine.
 */
void	 bevio_bye(struct bufferevent *);
extern void (*bevio_tls_bye)(struct bufferevent *);

/* Milliseconds of the coarse monotonic clock: a few ns to ask. */
uint64_t bevio_now(void);

#endif
