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
 * The remote worker: runners of protocol v1 on one side, sessions of front
 * and control on the other.  Runs in: remote.
 *
 * struct link: one runner's connection, whose socket is front's.  Owns its
 * queue and what is being assembled; its operations and sessions end with it.
 * struct session: one of front's or control's, bound to one link for life.
 * struct op: one operation of exec.def, at most one v1 request in flight.
 */

#ifndef REMOTE_H
#define REMOTE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/exlink.h"
#include "base/json.h"
#include "base/policy.h"
#include "base/table.h"
#include "base/v1.h"
#include "proto/buf.h"
#include "proto/error.h"
#include "proto/exec_msg.h"
#include "proto/jobs.h"

struct chan;
struct event;
struct msg;

#define LINKS_MAX	20000	/* runners; a few KiB each when idle */
#define PENDING_MAX	1000	/* of these, not registered (D1) */
#define LINK_OPS_MAX	256	/* operations of one runner at a time */
#define LINK_WINDOW	(1024 * 1024)	/* bytes front may hold ready for us */
#define LINK_BAD_LOGGED	5	/* malformed messages of a connection */
#define STDIN_MAX	(16 * 1024 * 1024)	/* as captured output */
#define INPUT_WINDOW	(1024 * 1024)	/* of stdin or a file, unasked */
#define STREAMS		4	/* enum job_stream */
#define MESSAGE_EXTRA	16384	/* of a message beside its content */

#define container_of(p, type, member) \
	((type *)(void *)((char *)(p) - offsetof(type, member)))

/* One message on its way to a runner. */
struct outmsg {
	TAILQ_ENTRY(outmsg) entry;
	struct op	*op;		/* told when it has left; may be NULL */
	struct buf	 text;
	size_t		 size;
	uint8_t		 opcode;	/* of RFC 6455: 1 text, 2 binary */
};

enum link_state {
	LINK_NEW,		/* waits for register */
	LINK_AUTH,		/* the ledger looks at its token */
	LINK_UP,
	LINK_CLOSING		/* its last message is on the way out */
};

TAILQ_HEAD(op_list, op);
TAILQ_HEAD(session_list, session);
TAILQ_HEAD(link_list, link);
TAILQ_HEAD(task_list, task);

struct link {
	struct table_node by_serial;
	struct table_node by_name;	/* while it is that runner: */
	bool		 named;
	TAILQ_ENTRY(link) entry;	/* by state: pending or in order */
	enum link_state	 state;
	uint64_t	 serial;	/* front's */
	uint64_t	 auth;		/* of the question to the ledger */
	struct event	*timer;		/* to register, or to close */
	char		*user, *address;
	char		*name, *workspace, *shell, *provider, *model;
	char		*wish;		/* the name it would have; or NULL */
	bool		 global;	/* came with the global token */
	bool		 online;	/* as the ledger was told */
	bool		 held;		/* nothing leaves until it knows */
	bool		 is_v2;		/* speaks xbot.exec.v2 */
	uint8_t		 step;		/* of that: enum v2_step */
	struct v2	*v2;		/* what this connection resumed */
	const struct refusal *claim;	/* what is wrong with its user_id */
	uint8_t		 hash[32];

	char		*mem;		/* what is being assembled */
	size_t		 len, cap;
	bool		 in_message;
	uint8_t		 opcode;	/* of that message */
	uint64_t	 received, granted;
	unsigned int	 bad;

	TAILQ_HEAD(, outmsg) out;
	uint64_t	 sent, allowed;
	uint16_t	 close_code;	/* once `out` is empty */
	const char	*close_why;

	struct op_list	 ops;
	struct session_list sessions;
	struct task_list tasks;
	unsigned int	 nops, ntasks;
	unsigned int	 nfull;		/* streams over their mark */
	size_t		 reserved;	/* for answers, by its ops */
	size_t		 charged;	/* of the budget: max(cap, reserved) */
};

struct session {
	struct table_node node;
	TAILQ_ENTRY(session) entry;	/* of all */
	TAILQ_ENTRY(session) of_link;
	enum role	 peer;		/* front or control */
	uint64_t	 serial;
	struct link	*link;		/* version 1; else NULL and */
	struct v2	*v2;
	LIST_HEAD(, job) jobs;		/* of version 2 */
	struct op_list	 ops;
};

enum v2_step {
	V2_HELLO = 1 << 0,	/* theirs is awaited */
	V2_RESUME = 1 << 1,
	V2_UP = 1 << 2
};

/* An operation that the runner itself knows. */
struct job {
	struct table_node node;		/* in its link's table */
	LIST_ENTRY(job)	 entry;		/* in its session's list */
	struct id16	 id;
	struct session	*session;	/* NULL: nobody waits */
	uint16_t	 type;		/* what opened it */
	bool		 task;		/* outlives its session */
	bool		 other;		/* not front's: see v2_bulk_allow */
	uint64_t	 upto[STREAMS];	/* front's credit */
	uint64_t	 got[STREAMS];	/* offset behind the last bytes */
	uint64_t	 held[STREAMS];	/* credit that front gets later */
	char		*provider;	/* of llm_settings; or NULL */
	char		*model;
};

/* A runner's link of version 2; outlives its connections. */
struct v2 {
	struct table_node node;
	bool		 listed;	/* in the table of names */
	char		*user, *name;
	struct link	*conn;		/* NULL: away */
	struct exlink	 x;
	struct table	 jobs;		/* by id */
	struct session_list sessions;
	struct event	*timer;		/* an ack, or the end of grace */
	struct event	*turn;		/* write what piled up */
	unsigned int	 nothers;	/* jobs that are not front's */
	size_t		 charged;	/* of the budget: for x.kept */
	bool		 holding;	/* some job's credit */
	bool		 pumping;
	bool		 away;		/* counted as such */
	bool		 dead;		/* ends in the next turn */
};

enum op_step {
	OP_INPUT,		/* stdin or a file is collected */
	OP_LOOK,		/* a stat before the operation proper */
	OP_PARENT,		/* mkdir_all before it */
	OP_WORK,
	OP_OUTPUT,		/* the answer goes to front under credit */
	OP_PAUSE,		/* until the runner is asked again */
	OP_STREAM		/* struct stream knows */
};

/* A task of version 1: lost with its runner's connection. */
struct task {
	TAILQ_ENTRY(task) entry;	/* of its link */
	struct id16	 id;
	char		 name[40];	/* as the runner knows it */
	char		*command;
	bool		 running, killed;
	uint8_t		 how;
	int32_t		 code;
	uint64_t	 started_ms, ended_ms;
	uint64_t	 asked_us;	/* how it is */
	uint64_t	 sizes[2];	/* of its output, when last seen */
};

/* Pipes, or a terminal, of version 1. */
struct stream {
	bool		 pty, started, ended;
	bool		 eof;		/* no more input */
	bool		 closing;	/* the runner was asked to */
	bool		 closed;	/* and has answered */
	bool		 cancelled;
	bool		 full;		/* counted by its link */
	bool		 clear;		/* what was written has arrived */
	uint64_t	 wrote_us;
	char		 id[24], input_id[24];
	struct buf	 out;		/* came, and not yet front's */
	struct event	*pace;		/* of what it writes */
};

/* A stream towards front, out of the answer's memory. */
struct output {
	uint8_t		 stream;
	struct slice	 data;		/* not yet sent */
	uint64_t	 sent, upto;
	/* A file: base64 that is decoded where it stands, piece by piece. */
	char		*text;
	size_t		 text_len;
	unsigned int	 skip;		/* bytes before the range */
	uint64_t	 left;		/* bytes of it */
	struct base64_dec dec;
};

struct entry {
	struct slice	 name;
	uint64_t	 size;
	bool		 is_dir;
};

struct op {
	TAILQ_ENTRY(op)	 of_session;
	TAILQ_ENTRY(op)	 of_link;
	struct session	*s;
	struct link	*link;
	struct id16	 job;
	uint16_t	 type;		/* exec.def's */
	enum op_step	 step;
	bool		 handed;	/* a request has left: it may run */

	/* As asked. */
	char		*path;		/* absolute */
	uint64_t	 offset, length;
	uint32_t	 mode;
	uint32_t	 timeout;	/* s */
	bool		 parents, recursive, missing_ok;
	uint8_t		 kind;		/* of job_start */
	bool		 follow;
	bool		 unseen;	/* the task is not the runner's */
	struct id16	 task;
	char		*url;
	struct stream	*stream;	/* or NULL */
	struct llm	*llm;		/* or NULL */
	uint64_t	 begun_us;

	/* Input, and the request it becomes. */
	struct buf	 input;		/* stdin; of a call of a language
					 * model its body, then its answer */
	struct buf	 text;		/* request being written */
	char		 text_id[24];
	struct jsonw	 w;
	struct base64_enc enc;
	uint64_t	 taken, granted, limit;

	/* The request in flight. */
	char		 id[24];	/* "": none */
	enum v1_type	 asked;
	struct outmsg	*out;		/* still queued */
	struct event	*timer;
	uint64_t	 at_us;		/* it left */
	uint64_t	 progress;	/* link->received at the last look */
	size_t		 reserved;

	/* The answer; its memory. */
	char		*mem;
	size_t		 held;		/* charged for mem, entries, text */
	struct output	 outputs[2];
	struct entry	*entries;
	size_t		 nentries;
	int32_t		 code;
	uint8_t		 how;
	uint64_t	 duration_us;
	struct exec_file_info info;	/* of file_get */
	char		 name[257];
};

/* main.c */
extern uint64_t	 conf_message_limit;
/*
 * Is the channel to that peer over its mark?  Then everything that waits is
 * tried again soon: many credits at once may not fill a channel.
 */
bool		 peer_is_full(enum role);
/* NULL when it is down; our own role: the copier of skills. */
struct chan	*peer_chan(enum role);
/* All runners' memory.  _take: false when it does not fit. */
bool		 budget_take(size_t);
void		 budget_force(size_t);
void		 budget_give(size_t);
/* One to one, with a secret of this process. */
uint64_t	 number_mix(uint64_t);
/* The key of a user's runner in tables. */
uint64_t	 names_key(struct slice user, struct slice name);
/* Valid UTF-8 without NUL, at most max bytes and a NUL. */
void		 text_clean(char *, size_t max, struct slice);

/* link.c */
extern struct link_list links_up, links_pending;
void	 on_ws_open(struct chan *, const struct msg *);
void	 on_ws_data(struct chan *, const struct msg *);
void	 on_ws_gone(struct chan *, const struct msg *);
void	 on_ws_credit(struct chan *, const struct msg *);
void	 on_bulk_ws_data(struct chan *, const struct msg *);
/* We are done with these bytes of front's. */
void	 bulk_free(uint64_t);
struct link *link_by_name(struct slice user, struct slice name);
struct link *link_by_serial(uint64_t);
/* takes the text, also on failure; op may be NULL. */
bool	 link_queue(struct link *, struct op *, struct buf *text);
/* What was queued while it was held may leave. */
void	 link_release(struct link *);
/* A binary message, at once or in turn; the bytes are lent.  secret: they are
 * to be wiped. */
bool	 link_send_binary(struct link *, struct slice, bool secret);
/* The same for a piece with bulk; false: not now, v2_pump is called again. */
bool	 link_send_bulk(struct link *, const struct exlink_piece *);
/* Not yet begun: unqueue it; true: the runner has seen nothing of it. */
bool	 link_unqueue(struct link *, struct outmsg *);
/* Close once what is queued has left; why is a literal. */
void	 link_finish(struct link *, uint16_t code, const char *why);
/* Close now.  The link is gone. */
void	 link_close(struct link *, uint16_t code, const char *why);
/* Its name in the table of runners; -1: no memory. */
int	 link_enter(struct link *);
void	 link_leave(struct link *);
void	 link_grant(struct link *);
bool	 link_reserve(struct link *, struct op *, size_t);
void	 link_unreserve(struct link *, struct op *);
/* The front of all of them went. */
void	 links_clear(void);
void	 links_flush(void);

/* register.c */
void	 register_message(struct link *, char *, size_t);
void	 register_up(struct chan *ledger);
void	 register_status(const struct link *, bool online);
/* From now on requests go to it. */
void	 register_online(struct link *);
/* It took these settings; NULL: no memory for them. */
void	 register_llm(struct link *, const char *provider, const char *model);
void	 on_runner_authed(struct chan *, const struct msg *);
void	 on_runner_kick(struct chan *, const struct msg *);
void	 on_runner_renamed(struct chan *, const struct msg *);

/* session.c */
void	 on_session_open(struct chan *, const struct msg *);
void	 on_session_close(struct chan *, const struct msg *);
/* Whatever exec.def has from the host side. */
void	 on_session_message(struct chan *, const struct msg *);
struct session *session_find(struct chan *, uint64_t serial);
struct chan *session_peer(const struct session *);
/* All that run on this link are lost. */
void	 sessions_lost(struct link *, const char *why);
/* The session is gone. */
void	 session_lost(struct session *, enum xerr, const char *text);
void	 sessions_clear(enum role);
void	 sessions_flush(void);

/* op.c */
/* The op of a question; NULL: the session is gone, or it was refused here. */
struct op *op_new(struct chan *, const struct msg *, const struct id16 *job);
/* The one that this message is about; NULL: it has ended. */
struct op *op_find(struct chan *, const struct msg *, const struct id16 *job);
/* The request in flight has left for the runner. */
void	 op_handed(struct op *);
/* An answer to it: takes the link's assembled memory. */
void	 op_answer(struct op *, struct v1_message *);
/* These end it: the op is gone. */
void	 op_refuse(struct op *, enum xerr, const char *);
void	 op_done(struct op *);
void	 op_exit(struct op *);
void	 op_free(struct op *);
/* Ask the runner; the op may be gone afterwards. */
void	 op_ask(struct op *, enum v1_type);
/* Not now: what it holds is given back, bg_status is asked later. */
void	 op_pause(struct op *);
/* Room for its input. */
void	 op_grant(struct op *, uint8_t stream, uint64_t window);
void	 op_send(struct op *, uint16_t type, const void *body);

/* ask.c */
/* The message of a session to a runner of version 1. */
void	 ask_message(struct chan *, const struct msg *);

/* input.c */
void	 input_on_start(struct chan *, const struct msg *);
void	 input_on_data(struct chan *, const struct msg *);
void	 input_on_eof(struct chan *, const struct msg *);

/* v2.c: the link of version 2. */
/* Registered: greet. */
void	 v2_begin(struct link *);
/* What was assembled is a message.  The link may be gone. */
void	 v2_message(struct link *);
/* Its connection goes. */
void	 v2_detach(struct link *);
/* The connection takes more. */
void	 v2_pump(struct v2 *);
/* A message whose bytes stayed in front, who lends them until this returns. */
struct ctl_bulk_ws_data;
void	 v2_bulk(struct link *, const struct ctl_bulk_ws_data *);
/* Kept until it was taken. */
void	 v2_send(struct v2 *, uint16_t type, const void *body);
/* takes the bulk. */
void	 v2_send_bulk(struct v2 *, const struct exec_job_data *head,
	    uint64_t bulk, size_t len);
/* The number of its jobs that are not front's came to 0 or left it. */
void	 v2_bulk_allow(struct v2 *);
/* And its bulk with it. */
void	 v2_front_went(void);
/* Forget it: its sessions are lost, its connection is closed. */
void	 v2_drop(struct v2 *, uint16_t close_code, const char *why);
/* By the name it has, there or away; nothing when there is none. */
void	 v2_forget(struct slice user, struct slice name, const char *why);
bool	 v2_rename(struct slice user, struct slice name, struct slice to);

/* job.c: its operations. */
void	 job_message(struct session *, const struct msg *);
/* From the runner; NULL or what is wrong with it (a literal). */
const char *job_answer(struct v2 *, const struct msg *);
/* The same for job_data whose bytes stayed in front. */
const char *job_bulk(struct v2 *, const struct exec_job_data *head,
	    uint64_t bulk, uint32_t len);
void	 on_bulk_data(struct chan *, const struct msg *);
void	 job_free(struct v2 *, struct job *);
/* The session closes: what is not a task is cancelled. */
void	 jobs_cancel(struct session *);
/* Front gets the credit that was held back. */
void	 jobs_release(struct v2 *);
/* The runner does not know what this type opened. */
void	 jobs_unsupported(struct v2 *, uint16_t type);

/* task.c: tasks of version 1. */
struct task *task_find(const struct link *, const struct id16 *);
/* A start is asked for: NULL, refused. */
struct task *task_new(struct op *, const struct exec_job_start *);
void	 task_forget(struct link *, const struct id16 *);
void	 tasks_clear(struct link *);
void	 task_list_next(struct op *);
void	 task_read_sent(struct op *);
void	 task_take_started(struct op *, struct v1_value *);
void	 task_take_output(struct op *, struct v1_value *);
void	 task_take_killed(struct op *, struct v1_value *);
/* false: an error like any other; true: the op may be gone. */
bool	 task_take_error(struct op *, enum v1_type, enum xerr, const char *);

/* stream.c: pipes and terminals of version 1. */
void	 stream_start(struct op *, const struct exec_job_start *);
void	 stream_input(struct op *, const struct exec_job_data *);
void	 stream_eof(struct op *);
void	 stream_resize(struct op *, const struct exec_job_resize *);
void	 stream_cancel(struct op *);
void	 stream_free(struct op *);
/* What was asked behind the last write is answered. */
void	 stream_clear(struct op *);
/* What was written has left. */
void	 stream_handed(struct op *);
void	 stream_pump(struct op *);
void	 stream_take_started(struct op *, struct v1_value *);
void	 stream_take_closed(struct op *, struct v1_value *);
/* A message without an id: may be about one of these. */
bool	 stream_push(struct link *, struct v1_message *);
/* The answer to input, which only an error is. */
bool	 stream_input_answer(struct link *, struct v1_message *);

/* output.c: an answer on its way to front. */
void	 output_pump(struct op *);
void	 output_credit(struct op *, uint8_t stream, uint64_t upto);

/* request.c: exec.def to JSON.  false: no memory. */
void	 request_id(char id[24]);
void	 request_open(const struct op *, struct jsonw *, struct buf *,
	    enum v1_type, const char *id);
bool	 request_end(struct jsonw *);
bool	 request_task(struct op *, const struct task *,
	    const struct exec_job_start *);
bool	 request_stream(struct op *, const struct exec_job_start *);
bool	 request_simple(struct op *, enum v1_type, struct buf *,
	    char id[24]);
bool	 request_exec(struct op *, const struct exec_job_start *);
bool	 request_exec_end(struct op *);
bool	 request_put(struct op *);
bool	 request_put_add(struct op *, struct slice);
bool	 request_put_end(struct op *);
/* Absolute as the runner understands it; returns; NULL: no memory. */
char	*request_path(const struct link *, struct slice);
bool	 request_is_root(const struct op *);

/* reply.c: JSON to exec.def. */
void	 reply_take(struct op *, enum v1_type asked, struct v1_message *);
void	 reply_malformed(struct op *);
/* Base64 in place without its line breaks; returns its length. */
size_t		 reply_strip_breaks(char *, size_t);
/* The code of an error message; the text, not empty. */
#define REPLY_TEXT_MAX	1024
enum xerr reply_error(struct v1_value *body, char text[REPLY_TEXT_MAX + 1]);

#endif
