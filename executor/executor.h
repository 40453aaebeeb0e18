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
 * What the files of xbot-executor share.  Runs in: executor, which trusts its
 * launcher's arguments and nothing that a job does.  One thread, one epoll,
 * one channel (fd 3), a table of operations.
 */

#ifndef EXECUTOR_H
#define EXECUTOR_H

#include <sys/types.h>
#include <sys/stat.h>

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "exec_msg.h"
#include "proto/error.h"
#include "proto/jobs.h"

#define NELEM(a)	(sizeof(a) / sizeof((a)[0]))

/* Operations at a time: four descriptors each, and a host's mistake. */
#define OPS_MAX		1024

/* ---- main.c: the arguments, for all to read */
struct options {
	const char	*workspace;	/* canonical */
	const char	*given;		/* as on the command line, cleaned */
	const char	*user;
	const char	*home;
	const char	*channel;	/* socket to connect to; NULL: fd 3 */
	const char	*bridge;	/* socket to be instead; NULL */
	const char	*image_user;	/* of the container's image, or NULL */
	bool		 full;		/* no path guard */
	bool		 stay;		/* a lost channel is no end */
	bool		 inherit;	/* jobs get our own environment */
	unsigned int	 idle;		/* seconds; 0 never leaves */
	unsigned int	 grace;		/* seconds a lost follower is awaited */
	int		 wsfd;		/* the workspace, O_PATH */
	int		 nullfd;
};
extern struct options opt;

void	warn_log(const char *, ...) __attribute__((format(printf, 1, 2)));
/* Out of memory, a lost channel: kill what runs, say bye, leave. */
void	die(const char *reason) __attribute__((noreturn));

/* ---- loop.c */
struct watch {
	int		 fd;		/* owned once loop_want was called */
	uint32_t	 events;	/* what epoll knows */
	void		(*on)(struct watch *, uint32_t events);
};

void	 loop_init(void);
/* 0 takes it out: a hangup must not spin while nobody wants to read. */
void	 loop_want(struct watch *, uint32_t events);
/* Out of epoll first: a child between vfork and exec may still hold it. */
void	 loop_close(struct watch *);
void	 loop_once(int timeout_ms);
uint64_t now_us(void);

/* ---- op.c: everything that has an id and ends with one terminal message */
struct op;
struct op_class {
	const char	*name;
	/* NULL where the message makes no sense: it is ignored. */
	void	(*on_data)(struct op *, uint8_t, uint64_t, struct slice);
	void	(*on_eof)(struct op *, uint8_t, uint64_t);
	void	(*on_credit)(struct op *, uint8_t, uint64_t);
	void	(*on_cancel)(struct op *);
	void	(*on_signal)(struct op *, int);
	void	(*on_resize)(struct op *, uint16_t cols, uint16_t rows);
	/* Produce one slice; true: there is more to do at once. */
	bool	(*pump)(struct op *);
	void	(*clear)(struct op *);	/* everything but the op itself */
};

struct op {
	struct id16		 id;
	const struct op_class	*class;
	uint64_t		 mark;		/* link.c: its last data */
	struct op		*chain;		/* same bucket */
	struct op		*next, *prev;	/* ready list */
	bool			 ready;
};

/* Enter a zeroed op; false: refused (in use, too many) and answered. */
bool		 op_enter(struct op *, const struct id16 *,
		    const struct op_class *);
struct op	*op_find(const struct id16 *);
size_t		 op_count(void);
void		 op_ready(struct op *);
/* Run ready operations round robin while the link has room. */
void		 op_pump(void);
bool		 op_pending(void);	/* work that only waits for its turn */
/* Terminal message, then free (the op is the head of its allocation). */
void		 op_refuse(struct op *, enum xerr, const char *);
void		 op_fail(struct op *, int error, const char *what);
void		 op_done(struct op *);
void		 op_exit(struct op *, struct exec_job_exit *);
/* Without a word: what it had to say was said before. */
void		 op_drop(struct op *);
/* As if the host had cancelled each: it is gone. */
void		 op_cancel_all(void);
/* At the end: undo what is half done (temporary files). */
void		 op_clear_all(void);
/* Without an op: the id never got into the table. */
void		 refuse(const struct id16 *, enum xerr, const char *);
enum xerr	 start_error(int);	/* errno of starting something */
void		 op_printable(char *);	/* no bytes that are not text */

/* ---- connect.c: to the socket of -c */
/* Until it is there; the connection gets that number. */
void	 connect_wait(int as);
/* Without waiting; link_up is called, now or later. */
void	 connect_start(void);
uint64_t connect_next_timer(void);
void	 connect_timer(uint64_t now);

/* ---- bridge.c: the socket itself, -b */
void	 bridge_run(const char *path) __attribute__((noreturn));

/* ---- link.c: the channel */
void	 link_init(void);
/* takes fd */
void	 link_up(int fd);
void	 link_send(uint16_t type, const void *body);
/* Behind the data of this op that is still queued, else ahead of all data. */
void	 link_send_last(struct op *, uint16_t type, const void *body);
/*
 * A job_data frame made in place: room for up to *max bytes (never 0, may be
 * lowered) or NULL when the queue is full; then commit what was filled in.
 */
void	*link_data(struct op *, uint8_t stream, uint64_t offset, size_t *max);
void	 link_commit(struct op *, size_t);
/* A whole message that counts as data (listings); false: queue is full. */
bool	 link_send_data(struct op *, uint16_t type, const void *body);
bool	 link_room(void);
void	 link_flush(void);
void	 link_bye(const char *reason, unsigned int wait_ms, bool until_closed);
void	 link_breach(const char *reason) __attribute__((noreturn));

/* ---- job.c: processes */
void	 on_job_start(const struct exec_job_start *, uint64_t print);
void	 job_start_pending(void);	/* after each batch of frames */
void	 job_reap(void);		/* SIGCHLD */
void	 job_leave(void);		/* end those we may not signal */
void	 job_timers(uint64_t now);
uint64_t job_next_timer(void);		/* UINT64_MAX: none */
void	 job_end(struct op *);		/* its tree is killed */
void	 job_expire(struct op *);	/* an ended task: forget it soon */

/* ---- limit.c: limits of the container */
void	 limit_init(void);
/* Processes that were killed because its memory was used up, ever. */
uint64_t limit_kills(void);
/* A job's end: was it by the limit?  before: limit_kills at its start. */
void	 limit_judge(struct exec_job_exit *, uint64_t before);
/* As op_fail, of a process that could not be started. */
void	 limit_fail(struct op *, int error, const char *what);

/* ---- stream.c */
#define RING_MAX	(1024 * 1024)
#define STDIN_WINDOW	(256 * 1024)

struct keep;				/* task.c */

struct out_stream {
	struct watch	 w;
	struct op	*op;
	struct keep	*keep;		/* NULL: send, do not keep */
	struct buf	 ring;
	uint64_t	 sent;		/* offset of ring's first byte */
	uint64_t	 credit;
	uint8_t		 num;
	bool		 tty;		/* a terminal's master */
	bool		 live;		/* and its session has a leader */
};

struct in_stream {
	struct watch	 w;
	struct op	*op;
	struct buf	 buf;
	uint64_t	 got;		/* offset after the bytes received */
	uint64_t	 granted;
	bool		 eof;		/* close when buf is empty */
	bool		 used;		/* there is, or was, a pipe */
	bool		 tty;
	bool		 last;		/* the same, and nothing more counts */
};

void	 out_open(struct out_stream *, struct op *, uint8_t num, int fd);
void	 out_clear(struct out_stream *);
/* Read what is there; leaves the pipe open unless it ended. */
void	 out_read(struct out_stream *);
/* Take what is in the pipe this moment, then close it. */
void	 out_finish(struct out_stream *);
/* Send from the ring under credit; true: more could be sent at once. */
bool	 out_pump(struct out_stream *);
/* There is room again. */
void	 out_resume(struct out_stream *);
void	 out_drop(struct out_stream *);
void	 in_open(struct in_stream *, struct op *, int fd);
void	 in_clear(struct in_stream *);
void	 in_data(struct in_stream *, uint64_t offset, struct slice);
void	 in_eof(struct in_stream *, uint64_t offset);
/* Close it behind what it was given; what still comes is too late. */
void	 in_finish(struct in_stream *);
/* Called by a stream when its pipe ended. */
void	 job_advance(struct op *);

/* ---- task.c: jobs whose output is kept, and their readers */
struct task;

/* NULL: too many. */
struct task	*task_new(struct op *, const struct exec_job_start *);
void		 task_started(struct task *, struct out_stream [2]);
void		 task_ended(struct task *, const struct exec_job_exit *);
void		 task_free(struct task *);
size_t		 task_history(void);	/* how many have ended */
void		 task_timers(uint64_t now);
uint64_t	 task_next_timer(void);
/* How much may be read now, and reading it. */
size_t		 keep_room(struct keep *);
ssize_t		 keep_read(struct keep *, int fd, size_t max);
void		 on_task_list(const struct exec_task_list *);
void		 on_task_read(const struct exec_task_read *);
void		 on_task_kill(const struct exec_task_kill *);

/* ---- spawn.c */
struct spawn {
	char		**argv, **envp;	/* one allocation, at argv */
	const char	*path;		/* what to execute */
	int		 fds[3];
	int		 dirfd;
	bool		 tty;		/* fds[0] is to be its terminal */
};

/* Argument vector and environment, copied; NULL and errno. */
char	**spawn_args(const struct exec_job_start *, const char *pwd,
	    char ***envp);
/* Directory of the job, guarded like a file; 0 or an errno. */
int	 spawn_dir(struct spawn *, struct slice dir, char *pwd, size_t);
/* -1 and errno; what was opened by then is in both vectors. */
int	 spawn_pipes(struct spawn *, bool no_stdin, int ours[3]);
void	 spawn_close(int *fds, int n);
const char	*spawn_shell(void);
/* Search PATH of the job's environment; 0 or an errno. */
int	 spawn_find(const struct spawn *, char *dst, size_t dstlen);
/* The pid, or -1 and errno (of exec too). */
pid_t	 spawn_run(const struct spawn *);
void	 spawn_init(void);

/* ---- user.c */
void	 user_init(const char *spec);	/* user[:group] of the image */
int	 user_become(void);		/* in a job's child; 0 or errno */

/* ---- pty.c */
/* As spawn_pipes; ours: to write, to read, none. */
int	 pty_open(int theirs[3], int ours[3], unsigned int cols,
	    unsigned int rows);
void	 pty_resize(int fd, unsigned int cols, unsigned int rows);
int	 pty_signal(int fd, int sig);	/* -1: nobody in the foreground */
char	 pty_eof(int fd);		/* the character */

/* ---- tree.c */
struct proc_id {
	pid_t		 pid;
	pid_t		 ppid, pgrp, sid;
	uint64_t	 start;		/* pid and start time are an identity */
};

struct tree {
	struct proc_id	*v;
	size_t		 n, cap;
};

struct tree_of {
	pid_t			 leader;	/* 0: everything of ours */
	const struct id16	*id;
	const struct tree	*known;		/* members seen before */
	bool			(*is_leader)(pid_t);
};

/* Every living member; zombies count until they are reaped. */
void	 tree_collect(struct tree *, const struct tree_of *);
void	 tree_signal(const struct tree *, int sig, pid_t but_not_pgrp);
/* STOP, re-read until stable, KILL.  How many are left (0: all gone). */
size_t	 tree_kill(struct tree *, const struct tree_of *);
void	 tree_clear(struct tree *);
/* Those that run as somebody else are killed by him: the pid of a sudo. */
pid_t	 tree_kill_as(const struct tree *, const char *user);
bool	 tree_children(void);		/* have we any child? */
void	 tree_kill_all(void);		/* blocks up to 3 s */

/* ---- path.c */
struct path {
	int	 base;			/* descriptor, lent */
	char	 rel[PATH_MAX];		/* cleaned, "." is the root itself */
};

void	 path_init(void);
/* All return 0 (or a descriptor), or -errno. */
int	 path_parse(struct slice, struct path *);
int	 path_open(const struct path *, int flags);
/* The directory that holds it (O_PATH), made if asked; name is its own. */
int	 path_parent(const struct path *, bool make, const char **name);
int	 path_clean(const char *, size_t, char *, size_t);
const char	*path_name(const struct path *);

/* ---- file.c, dir.c */
bool	 file_in_use(const struct id16 *);	/* and answered */
void	 file_refuse(const struct id16 *, int error, struct slice path);
/* As a file would be made with this mode. */
uint32_t file_umasked(uint32_t);
void	 file_fail(struct op *, int error, struct slice path);
void	 on_file_stat(const struct exec_file_stat *);
void	 on_file_get(const struct exec_file_get *);
void	 on_file_put(const struct exec_file_put *);
void	 on_file_list(const struct exec_file_list *);
void	 on_file_mkdir(const struct exec_file_mkdir *);
void	 on_file_remove(const struct exec_file_remove *);

/* ---- hash.c */
void	 on_file_hash(const struct exec_file_hash *);

#endif
