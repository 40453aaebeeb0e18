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
 * What the parts of xbot-admin share: what the command line said, requests
 * to the control socket, tables.  Runs in: xbot-admin, as whoever calls it.
 *
 * The daemon is trusted as far as it is ours; the text inside its answers
 * came from users and runners, so it is escaped before a terminal sees it.
 * Only a command's output is passed on as it is.
 */

#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "proto/buf.h"

/* Exit statuses of our own; see xbot-admin(8). */
#define STATUS_FAILED	1
#define STATUS_USAGE	2
#define STATUS_TIMEOUT	124	/* as timeout(1) */
#define STATUS_UNKNOWN	255	/* ended, and nobody knows how */

/* What stands before the verb. */
struct admin {
	const char	*socket;
	bool		 json;		/* -j */
};

extern struct admin	admin;

/* --- verbs.c --- */

#define ENV_MAX	1024			/* http-api.md */

/* What stands behind the verb. */
struct args {
	const char	*user;		/* -u, or NULL */
	const char	*opt[128];	/* by letter: its value, "" for a flag */
	const char	*env[ENV_MAX];	/* -e */
	size_t		 nenv;
	int		 argc;		/* the words that are left */
	char		**argv;
};

struct verb {
	const char	*name, *sub;	/* sub may be NULL */
	const char	*options;	/* of getopt(3) */
	const char	*usage;		/* what follows the words */
	int		 min, max;	/* number of words */
	bool		 user;		/* -u must be there */
	int		(*run)(const struct args *);
};

/* Runs the verb that argv starts with; returns our exit status. */
int	 verb_run(int argc, char **argv);
/* Says why, and this verb's usage; returns STATUS_USAGE. */
int	 verb_wrong(const char *why);
/* All verbs, or those of that name, on stderr. */
void	 verb_usage(const char *);

int	 verb_status(const struct args *);
int	 verb_users(const struct args *);
int	 verb_route(const struct args *);
int	 verb_reload(const struct args *);
int	 verb_log(const struct args *);
int	 verb_stop(const struct args *);
int	 verb_runner_list(const struct args *);
int	 verb_runner_create(const struct args *);
int	 verb_runner_delete(const struct args *);
int	 verb_runner_rename(const struct args *);
int	 verb_runner_rotate(const struct args *);
int	 verb_runner_use(const struct args *);
int	 verb_token_create(const struct args *);
int	 verb_token_list(const struct args *);
int	 verb_token_revoke(const struct args *);
int	 verb_runner_llm(const struct args *);
int	 verb_exec(const struct args *);
int	 verb_shell(const struct args *);
int	 verb_cp(const struct args *);
int	 verb_task_start(const struct args *);
int	 verb_task_list(const struct args *);
int	 verb_task_show(const struct args *);
int	 verb_task_kill(const struct args *);
int	 verb_task_follow(const struct args *);
int	 verb_events(const struct args *);
int	 verb_sandbox_list(const struct args *);
int	 verb_sandbox_show(const struct args *);
int	 verb_sandbox_commit(const struct args *);
int	 verb_sandbox_stop(const struct args *);
int	 verb_sandbox_reset(const struct args *);

/* --- main.c --- */

/* "xbot-admin: ..." on stderr. */
void	 complain(const char *, ...) __attribute__((format(printf, 1, 2)));
/* All of it, or -1 and errno. */
int	 write_all(int fd, const void *, size_t);

/* --- http.c --- */

/* One request on the control socket and its answer. */
struct call {
	const char	*method;
	const char	*path;		/* encoded, with its query */
	const struct buf *body;		/* JSON, or NULL */
	const char	*accept;	/* or NULL */
	bool		 upload;	/* the body is what in_fd gives */
	int		 in_fd;
	int64_t		 in_size;	/* -1: until its end */
	long		 seconds;	/* for all of it; 0: no limit */
	/* Takes the body of a good answer; false, having said why: stop. */
	bool		(*sink)(void *, const void *, size_t);
	void		*arg;
	bool		 quiet;		/* why says what goes wrong, not we */
	/* filled in */
	void		*curl;		/* while it runs */
	long		 status;
	char		 why[512];	/* there was no answer, or no end */
	struct buf	 answer;	/* without sink, or of a bad answer */
	int		 in_errno;	/* in_fd could not be read */
	bool		 stopped;	/* the sink said so */
	bool		 too_long;
};

/* false: there was no good answer, and stderr says why. */
bool	 call_run(struct call *);
void	 call_clear(struct call *);
/* Why there is no connection. */
void	 socket_explain(char *, size_t, int error);

/* --- lines.c --- */

/* A sink for call_run() that cuts lines, without their ends. */
struct lines {
	struct buf	 part;		/* not yet whole */
	bool		(*line)(void *, const char *, size_t);
	void		*arg;
};

bool	 lines_add(void *lines, const void *, size_t);
/* The next two say what fails. */
bool	 output_write(int fd, const void *, size_t);
bool	 output_decode(struct buf *, struct slice base64);

/* --- retry.c --- */

/* What goes on when the daemon, or a part of it, was started again. */
struct retry {
	uint64_t	 since_ms;	/* of the trouble; 0: none */
	unsigned int	 wait_ms;
};

/* It works. */
void	 retry_good(struct retry *);
/* Waits a while; false: it has been too long. */
bool	 retry_wait(struct retry *);
/* Is this error worth another try? */
bool	 retry_worth(const char *code);

/* --- command.c --- */

/* Our standard input to its end. */
bool	 command_input(struct buf *);
/* The body of exec and tasks; the JSON writer is begun. */
bool	 command_body(const struct args *, struct jsonw *,
	    const struct buf *input);
/* The same for a stream, behind a path. */
bool	 command_path(const struct args *, struct buf *);

/* --- verb_exec.c --- */

/* Ours, of the object that tells how a command ended. */
int	 exit_status(const struct json_value *);

/* --- api.c --- */

/* fmt with each % replaced by an argument, percent-encoded; ends in NUL. */
bool	 path_make(struct buf *, const char *, ...);
/* The same behind what path_make() made. */
bool	 path_more(struct buf *, const char *, ...);
/* "?session=S" or "&session=S", if one was given. */
bool	 path_session(struct buf *, const struct args *);

struct reply {
	struct call		 call;
	struct json		*json;		/* NULL: 204 */
	const struct json_value	*root;
};

/*
 * One question with a JSON answer, of which -j prints what came.  body is
 * NULL or a finished writer.  false: it failed, and stderr says why.
 */
bool	 api_ask(struct reply *, const char *method, const struct jsonw *body,
	    const char *path, ...);
void	 reply_clear(struct reply *);
/* The error object of an answer, or of a line of one, on stderr. */
void	 api_complain(const void *, size_t, long status);
/* Its code; the empty string when there is none. */
void	 api_code(const void *, size_t, char *dst, size_t);

/* --- table.c --- */

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_FLAG,		/* yes, no */
	COLUMN_STATE,		/* up, down */
	COLUMN_WHEN		/* seconds since 1970, or text */
};

struct column {
	const char		*head;
	const char		*key;	/* member of each row */
	enum column_kind	 kind;
};

/* An array of objects, a line each. */
void	 table_print(const struct json_value *, const struct column *, size_t);
/* One object, a line a member that is there; nothing is cut. */
void	 pairs_print(const struct json_value *, const struct column *, size_t);
/* Untrusted text: as it is when nothing in it steers a terminal. */
void	 text_print(const char *, size_t);

/*
 * The last of a verb that asked: what came is shown, a member of it as a table
 * or all of it as pairs, unless -j has printed it; the reply is cleared.
 * Returns our exit status.
 */
int	 reply_table(struct reply *, const char *rows, const struct column *,
	    size_t);
int	 reply_pairs(struct reply *, const struct column *, size_t);

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

#endif
