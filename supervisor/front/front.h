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
 * What the parts of front and control share: the process's state, requests
 * and their answers, questions to the ledger, the tables of routes.
 * Runs in: front, control.
 *
 * A request lives from on_request until its http on_close.  Whatever comes
 * back later (from the ledger, from a backend) finds it by its serial; all
 * functions here that take a struct req may be called until its close().
 */

#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/child.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/listener.h"
#include "base/table.h"
#include "proto/buf.h"
#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "proto/jobs.h"
#include "supervisor/front/http.h"

struct event_base;
struct http_server;
struct req;

/* conf_front, copied.  Replaced as a whole when conf_commit arrives. */
struct front_conf {
	uint64_t	 json_max, header_max, output_max, file_max;
	uint32_t	 user_exec, user_task, user_pty, user_rate;
	uint32_t	 user_llm;
	uint64_t	 llm_max;
	bool		 host, docker, remote, web_server_runner, audit;
	bool		 llm;
	enum llm_dialect llm_dialect;
	char		 llm_model[257];
	char		 public_url[1025];
	char		 docker_image[257];
	char		 admin_group[65];	/* its number */
};

/* The last push of `worker` for each role, but for linked. */
struct front_worker {
	bool		 wanted, up;
	bool		 linked;	/* it has a channel to us, or had one */
	uint32_t	 pid, restarts;
	uint64_t	 since;
};

struct front {
	struct event_base	*base;
	struct http_server	*http;
	struct front_conf	 conf;
	struct front_worker	 workers[ROLE_MAX];
	bool			 control;	/* this is the control process */
	uint64_t		 started;	/* time(2) */
	uint64_t		 answers[600];	/* by status */
};

extern struct front	front;

/* Wanted, and up.  A channel that broke tells before the parent does. */
bool	 worker_up(enum role);

/* --- routes --- */

enum api_right {
	RIGHT_NONE,		/* no token; the handler checks what it needs */
	RIGHT_USER,		/* service, or the user token of {user} */
	RIGHT_SERVICE,		/* service */
	RIGHT_ADMIN		/* administrators on the control socket only */
};

enum api_body {
	BODY_NONE,		/* start() at once */
	BODY_JSON,		/* collected and parsed: req->body, an object */
	BODY_OPTIONAL_JSON,	/* the same, or empty: req->body is NULL */
	BODY_LLM,		/* as BODY_JSON, larger, and req->text */
	BODY_RAW		/* start() at once; it takes the body itself */
};

/*
 * pattern: segments are compared as they are; "{user}" is checked against
 * the rule of user ids and copied to req->user; any other "{...}" takes one
 * segment that is not empty, in order, into req->seg[].
 */
struct api_route {
	unsigned int	 verbs;		/* HV_ bits; HV_GET implies HV_HEAD */
	const char	*pattern;	/* NULL: end of table */
	enum api_right	 right;
	unsigned int	 listeners;	/* LISTENER_ bits that have it */
	enum api_body	 body;
	void		(*start)(struct req *);
};

#define ON_API		(LISTENER_API | LISTENER_UNIX)
#define ON_ALL		(LISTENER_API | LISTENER_WS | LISTENER_METRICS | \
			    LISTENER_UNIX)

/* One a file; api.c lists them. */
extern const struct api_route exec_routes[], file_routes[], misc_routes[],
    admin_routes[], runner_routes[], token_routes[], runner_ws_routes[],
    task_routes[], stream_routes[], event_routes[], download_routes[],
    sandbox_routes[], llm_routes[];

/* --- requests --- */

#define REQ_SEGS	2

struct req {
	struct table_node	 node;	/* first: see req_find */
	uint64_t		 serial;
	const struct api_route	*route;
	char			 user[ID_USER_MAX + 1];	/* "" without {user} */
	const char		*seg[REQ_SEGS];		/* other {...}, decoded */
	bool			 service;	/* acts for every user */
	const struct json_value	*body;	/* BODY_JSON: valid inside start() */
	struct slice		 text;	/* BODY_LLM: the same, as it came */
	/* The handler's own; close() is called once at the end, frees it. */
	void			*data;
	void			(*close)(struct req *, void *data);
	const struct http_handler *http_ops;	/* see req_stream */
	/* kept by api.c and limits.c */
	struct http_segs	 segs;
	unsigned int		 listener;
	bool			 answered;
	bool			 slot;		/* holds one of user_exec */
};

/* NULL: gone. */
struct req	*req_find(uint64_t serial);
/* NULL: the client is gone or was answered; close() came or will come. */
struct http_req	*req_http(const struct req *);
/* Take the body (and on_writable) yourself from now on; arg is the req. */
void	 req_stream(struct req *, const struct http_handler *);

/* Each of these is the whole answer. */
void	 req_error(struct req *, enum xerr, const char *, ...)
	    __attribute__((format(printf, 3, 4)));
/* takes the bytes out of the buf */
void	 req_json(struct req *, int status, struct buf *);
void	 req_empty(struct req *, int status);		/* 204 */
/* Or in pieces; returns as http_reply_data. */
int	 req_start(struct req *, int status, const char *ctype,
	    int64_t length);
int	 req_data(struct req *, const void *, size_t);
void	 req_end(struct req *);
void	 req_abort(struct req *, const char *why);
/* The last line of an answer in lines: an error. */
void	 req_error_line(struct req *, enum xerr, const char *text);
/* The member "error" of whatever is being written. */
void	 error_member(struct jsonw *, enum xerr, const char *text);

/* Query parameter into dst: JSON_GOT, JSON_ABSENT, JSON_WRONG (too long,
 * malformed, a NUL; the answer EINVAL has been given then). */
enum json_got	 req_param(struct req *, const char *, char *, size_t);
/* 0 and 1, false and true; EINVAL has been answered when false. */
bool	 req_flag(struct req *, const char *, bool *);
/* A number of digits in that base; otherwise: what it is not.  n stays when the
 * parameter is absent; EINVAL has been answered when false. */
struct req_range {
	int		 base;
	uint64_t	 least, most;
	const char	*otherwise;
};
bool	 req_number(struct req *, const char *, const struct req_range *,
	    uint64_t *n);
/* ?encoding=base64; EINVAL has been answered when false. */
bool	 req_base64(struct req *, bool *);
/* The session of this request: X-Xbot-Session or ?session=, "" if none.
 * EINVAL has been answered when false. */
#define SESSION_MAX	256
bool	 req_session(struct req *, char *, size_t);
/* JSON member into a C string of at most dstlen - 1 bytes: as req_param. */
enum json_got	 req_member(struct req *, const char *, char *, size_t);

/*
 * One line for the audit trail, if there is one: time, request id, user,
 * who asked, what; members are added by the caller between begin and end.
 */
bool	 audit_begin(struct jsonw *, struct buf *, struct req *,
	    const char *what);
void	 audit_end(struct jsonw *, struct buf *);
/* "2026-01-31T12:00:00Z" */
#define WHEN_LEN	32
void	 when_text(uint64_t ms, char dst[WHEN_LEN]);
/* For management requests: what and a name. */
void	 audit(struct req *, const char *what, const char *name);

/* --- questions to the ledger --- */

/*
 * Sends the message under a serial of its own.  cb is called for each
 * message that answers, the last being ledger_done (or the answer's own
 * message where it has one); not at all when the request is gone.  When the ledger
 * is not there or goes away, the request gets EOFFLINE and cb is not called.
 */
typedef void (*ledger_cb)(struct req *, const struct msg *);
void	 ledger_ask(struct req *, uint16_t type, const void *body, ledger_cb);
/* ledger_done as an answer: XERR_NONE is req_empty(204). */
void	 ledger_answer(struct req *, const struct msg *);

/* --- runner_ws.c, by serial of the connection --- */

void	 runner_ws_on_send(struct chan *, const struct msg *);
void	 runner_ws_on_close(struct chan *, const struct msg *);
void	 runner_ws_on_credit(struct chan *, const struct msg *);
void	 runner_ws_on_bulk_link(struct chan *, const struct msg *);
void	 runner_ws_on_bulk_send(struct chan *, const struct msg *);
/* The edge to remote went away: every runner is closed with 1012 or 1013. */
void	 runner_ws_down(void);
/* We are told to stop: close them with 1001. */
void	 runner_ws_stop(void);

/* --- api_streams.c --- */

/* We are told to stop: their clients are closed with 1001. */
void	 streams_stop(void);

/* --- api_llm.c --- */

bool	 llm_is_route(const struct api_route *);
/* An error in the words of the route's dialect; false: it is no such route. */
bool	 llm_error_body(const struct req *, enum xerr, const char *,
	    struct buf *);
/* It went offline: what its model was saying ends here. */
void	 llm_runner_gone(const char *user, const char *runner);
void	 llm_metrics(struct buf *);
/* One line of /metrics, of at most 255 bytes. */
void	 metric(struct buf *, const char *, ...)
	    __attribute__((format(printf, 2, 3)));

/* --- events.c --- */

/* We are told to stop: the answers of those who listen end. */
void	 events_stop(void);

/* --- per-user limits --- */

/* Takes one of the user's rate; answers EBUSY when false. */
bool	 limit_rate(struct req *);
/* Takes one exec slot until the request closes; answers EBUSY when false. */
bool	 limit_exec(struct req *);
void	 limit_release(struct req *);	/* api.c */
/* Takes one of the user's streams until it is given back by name; a request
 * that starts a task counts as one of them meanwhile.  EBUSY when false. */
bool	 limit_pty(struct req *);
void	 limit_pty_release(const char *user);
bool	 limit_task(struct req *);
void	 limit_task_release(const char *user);
/* Takes one of the user's calls of a model until it is given back. */
bool	 limit_llm(struct req *);
void	 limit_llm_release(const char *user);
/* How many of the user's requests are starting a task. */
unsigned int limit_task_starting(const char *user);

/* --- inside --- */

/* auth.c: done(req) once the token is known to have the route's right. */
void	 auth_check(struct req *, void (*done)(struct req *));
void	 auth_ledger_up(void);
void	 auth_ledger_down(void);
void	 auth_on_answer(struct chan *, const struct msg *);
void	 auth_on_flush(struct chan *, const struct msg *);
bool	 auth_warm_up(void);
/* peer.c: may the peer of this unix socket administrate? */
bool	 admin_peer(int fd);
/* By front.conf. */
void	 admin_group_set(void);

/* api.c */
/* Of sessions and questions: never 0, never again in this process. */
uint64_t serial_next(void);
extern const struct http_server_ops api_ops;
void	 api_log_failure(struct req *, int status, const char *);

/* ledger.c: rules of that edge */
extern const struct rules ledger_rules;
void	 ledger_up(struct chan *);

/* admin.c */
void	 admin_on_order_done(struct chan *, const struct msg *);

#endif
