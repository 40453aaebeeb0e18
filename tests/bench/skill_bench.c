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
 * Times the bare jailed fork of the skill runner's zygote, for skill.py: a word,
 * the fork, the whole jail, the exit, the answer.  No request, no Python.
 * Runs in: tests/bench, as root for the jail that skills have.
 *
 *   skill_bench N            one after the other: the nanoseconds of each
 *   skill_bench N C          C at a time: the nanoseconds of all together
 */

#include <sys/socket.h>
#include <sys/wait.h>

#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "workers/skill/skill.h"

static struct zygote	 zygote;
static uint64_t		 serial;

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A run whose caller is gone already: it ends behind its jail. */
static void
fork_one(uint32_t place)
{
	struct word	 w = {
		.what = WORD_FORK, .place = place, .run = ++serial,
		.policy = SKILL_PERMISSIVE, .cpu = 91, .processes = 32,
		.memory = 512u << 20
	};
	int		 sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1 ||
	    word_send(zygote.link, &w, sv[1]) == -1)
		err(1, "fork");
	close(sv[0]);
}

static uint32_t
exit_await(void)
{
	struct word	 w;
	int		 passed;

	if (word_recv(zygote.link, &w, &passed) != 1 ||
	    w.what != WORD_EXITED || w.status != 0)
		errx(1, "a fork ended with %#x", (unsigned)w.status);
	return w.place;
}

int
main(int argc, char *argv[])
{
	long		 n, i, sent = 0;
	uint32_t	 c;
	uint64_t	 start;

	if (argc < 2)
		errx(2, "usage: skill_bench N [C]");
	n = atol(argv[1]);
	c = argc > 2 ? (uint32_t)atol(argv[2]) : 1;
	if (c < 1 || c > SKILL_PLACES)
		errx(2, "at a time: 1 to %u", SKILL_PLACES);
	log_init("skill_bench", LOG_LEVEL_WARN);
	if (!zygote_start(&zygote, PRIV_PREFER))
		return 1;
	start = now();
	while (sent < c && sent < n)
		fork_one((uint32_t)sent++);
	for (i = 0; i < n; i++) {
		uint32_t place = exit_await();

		if (c == 1) {
			printf("%" PRIu64 "\n", now() - start);
			start = now();
		}
		if (sent < n) {
			fork_one(place);
			sent++;
		}
	}
	if (c > 1)
		printf("%" PRIu64 "\n", now() - start);
	close(zygote.link);
	(void)waitpid(zygote.pid, NULL, 0);
	return 0;
}
