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
 * The terminal in raw mode, and back again however we end.
 * Runs in: xbot-admin.  Owns: what the terminal was like before.
 */

#include <sys/ioctl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "supervisor/admin/admin.h"
#include "supervisor/admin/stream.h"

static void	 on_fatal(int);
static void	 handlers_set(void);

/* Their default is our end; the faults are here for the user's sake. */
static const int	 fatal_signals[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT, SIGBUS, SIGFPE, SIGILL,
	SIGSEGV
};

static struct sigaction		 before[NITEMS(fatal_signals)];
static struct termios		 cooked;
static volatile sig_atomic_t	 raw;

/* Puts things right, then lets the signal do what it would have done. */
static void
on_fatal(int sig)
{
	size_t	 i;

	if (raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	raw = 0;
	for (i = 0; i < NITEMS(fatal_signals); i++)
		if (fatal_signals[i] == sig)
			(void)sigaction(sig, &before[i], NULL);
	(void)raise(sig);
}

static void
handlers_set(void)
{
	struct sigaction	 sa = { .sa_handler = on_fatal };
	size_t			 i;

	(void)sigemptyset(&sa.sa_mask);
	for (i = 0; i < NITEMS(fatal_signals); i++) {
		if (sigaction(fatal_signals[i], NULL, &before[i]) == -1 ||
		    before[i].sa_handler == SIG_IGN)
			continue;		/* nohup */
		(void)sigaction(fatal_signals[i], &sa, NULL);
	}
}

bool
term_raw(void)
{
	static bool	 prepared;
	struct termios	 t;

	if (!prepared) {
		if (tcgetattr(STDIN_FILENO, &cooked) == -1)
			return false;
		handlers_set();
		(void)atexit(term_restore);
		prepared = true;
	}
	t = cooked;
	cfmakeraw(&t);
	raw = 1;
	return tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

void
term_restore(void)
{
	if (raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked);
	raw = 0;
}

void
term_size(unsigned int *cols, unsigned int *rows)
{
	struct winsize	 ws = { 0 };

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	*cols = ws.ws_col > 0 ? ws.ws_col : 80;
	*rows = ws.ws_row > 0 ? ws.ws_row : 24;
}
