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
 * The numbers inside exec.def's fields.  They travel: append only.
 */

#ifndef PROTO_JOBS_H
#define PROTO_JOBS_H

enum job_kind {
	JOB_EXEC = 0,		/* stdin, stdout, stderr; ends with its session */
	JOB_TASK = 1,		/* as exec, outlives connections */
	JOB_STDIO = 2,		/* as exec, long-lived pipes */
	JOB_PTY = 3		/* a terminal: streams 0 and 1 only */
};

enum job_stream {
	STREAM_STDIN = 0,
	STREAM_STDOUT = 1,
	STREAM_STDERR = 2,
	STREAM_FILE = 3
};

enum job_how {
	JOB_EXITED = 0,		/* code: the exit status */
	JOB_SIGNALLED = 1,	/* code: the signal */
	JOB_TIMED_OUT = 2,	/* its tree was killed at the deadline */
	JOB_KILLED = 3,		/* job_cancel; its tree was killed */
	JOB_LIMIT = 4,		/* a resource limit ended it */
	JOB_LOST = 5		/* nobody knows how it ended */
};

/*
 * In the mode of a file_put or file_mkdir: the umask counts, and a file that
 * exists keeps its mode, as open(2) and mkdir(2) have it.
 */
#define MODE_AS_OPEN	0x10000u

enum llm_dialect {
	LLM_OPENAI = 0,
	LLM_ANTHROPIC = 1
};

enum llm_what {
	LLM_CHAT = 0,		/* chat/completions; messages */
	LLM_MODELS = 1,		/* no body */
	LLM_COUNT = 2		/* messages/count_tokens; Anthropic's only */
};

#endif
