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
 * libcurl's multi interface on the event loop, into file_put operations.
 * Runs in: xbot-runner.  Input is hostile.  The executor's credit is what
 * lets a transfer go on; at most one piece of curl's waits here.
 */

#include <sys/queue.h>
#include <sys/random.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/chan.h"
#include "base/curl_loop.h"
#include "base/log.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"
#include "proto/jobs.h"
#include "runner/fetch.h"
#include "runner/launch.h"

#define FETCHES_MAX	16
#define URL_MAX		8192
#define TOTAL_S		300L
#define CONNECT_S	30L
#define REDIRECTS	10L
#define FILE_MODE	(0666 | MODE_AS_OPEN)

struct fetch {
	LIST_ENTRY(fetch)	 entry;
	struct id16		 job;		/* of the file_put */
	void			(*done)(void *, const struct fetched *);
	void			*arg;
	CURL			*easy;		/* owned; NULL: not any more */
	char			 text[CURL_ERROR_SIZE];
	struct buf		 wait;		/* not yet sent */
	uint64_t		 limit, sent, credit;
	bool			 paused;
	bool			 complete;	/* nothing more will come */
	bool			 eof;		/* and the executor knows */
	struct fetched		 res;
};


static LIST_HEAD(, fetch)	 fetches = LIST_HEAD_INITIALIZER(fetches);
static size_t			 nfetches;
static struct curl_loop		 loop;

static bool	easy_start(struct fetch *, struct slice);
static void	easy_end(struct fetch *);
static void	fetch_free(struct fetch *);
static void	fetch_end(struct fetch *);
static void	fetch_fail(struct fetch *, enum xerr, const char *, ...)
		    __attribute__((format(printf, 3, 4)));
static void	fetch_feed(struct fetch *);
static void	fetch_finished(struct fetch *, CURLcode);
static void	multi_act(void *, curl_socket_t, int);
static size_t	on_body(char *, size_t, size_t, void *);

void
fetch_init(struct event_base *base)
{
	if (!curl_loop_init(&loop, base, multi_act, NULL))
		fatalx("libcurl cannot be used");
	curl_multi_setopt(loop.multi, CURLMOPT_MAXCONNECTS, 4L);
}

struct fetch *
fetch_start(struct slice url, struct slice path, uint64_t limit,
    void (*done)(void *, const struct fetched *), void *arg,
    struct fetched *why)
{
	struct exec_file_put	 put = { .path = path, .mode = FILE_MODE,
				    .parents = true, .limit = limit };
	struct fetch		*f;

	why->code = XERR_EBUSY;
	snprintf(why->why, sizeof(why->why), "%d downloads are in progress",
	    FETCHES_MAX);
	if (nfetches >= FETCHES_MAX)
		return NULL;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatalx("out of memory");
	if (getrandom(&f->job, sizeof(f->job), 0) != sizeof(f->job))
		fatal("getrandom");
	f->done = done;
	f->arg = arg;
	f->limit = limit;
	LIST_INSERT_HEAD(&fetches, f, entry);
	nfetches++;
	put.job = f->job;
	why->code = XERR_EINVAL;
	snprintf(why->why, sizeof(why->why), "the address is too long or no "
	    "text");
	if (url.len == 0 || url.len > URL_MAX ||
	    memchr(url.p, '\0', url.len) != NULL || !easy_start(f, url)) {
		fetch_free(f);
		return NULL;
	}
	snprintf(why->why, sizeof(why->why), "path too long");
	if (!launch_send(EXEC_FILE_PUT, &put)) {
		fetch_free(f);
		return NULL;
	}
	return f;
}

static bool
easy_start(struct fetch *f, struct slice url)
{
	const char	*proxy = getenv("HTTP_PROXY");
	char		*text;

	if ((f->easy = curl_easy_init()) == NULL ||
	    (text = strndup(url.p, url.len)) == NULL)
		fatalx("out of memory");
	curl_easy_setopt(f->easy, CURLOPT_URL, text);
	/* curl knows but the small letters, because of CGI. */
	if (proxy != NULL && getenv("http_proxy") == NULL &&
	    strncasecmp(text, "http://", 7) == 0)
		curl_easy_setopt(f->easy, CURLOPT_PROXY, proxy);
	free(text);
	curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->text);
	curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "xbot-runner/"
	    XBOT_VERSION);
	curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(f->easy, CURLOPT_MAXREDIRS, REDIRECTS);
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT, TOTAL_S);
	curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(f->easy, CURLOPT_MAXFILESIZE_LARGE,
	    (curl_off_t)f->limit);
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	/* Or a redirect would read our files, and other people's mail. */
	return curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR,
	    "http,https") == CURLE_OK &&
	    curl_easy_setopt(f->easy, CURLOPT_REDIR_PROTOCOLS_STR,
	    "http,https") == CURLE_OK &&
	    curl_multi_add_handle(loop.multi, f->easy) == CURLM_OK;
}

static void
easy_end(struct fetch *f)
{
	if (f->easy == NULL)
		return;
	curl_multi_remove_handle(loop.multi, f->easy);
	curl_easy_cleanup(f->easy);
	f->easy = NULL;
}

static void
fetch_free(struct fetch *f)
{
	LIST_REMOVE(f, entry);
	nfetches--;
	easy_end(f);
	buf_clear(&f->wait);
	free(f);
}

/* The executor's last word on it came. */
static void
fetch_end(struct fetch *f)
{
	char	*p;

	/* It becomes text for a server; part of it was somebody's. */
	for (p = f->res.why; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	f->res.size = f->sent;
	if (f->done != NULL)
		f->done(f->arg, &f->res);
	fetch_free(f);
}

/* What is there of the file goes first; then whoever waits hears of it. */
static void
fetch_fail(struct fetch *f, enum xerr code, const char *fmt, ...)
{
	struct exec_job_cancel	 cancel = { .job = f->job };
	va_list			 ap;

	if (f->res.code != XERR_NONE)
		return;
	f->res.code = code;
	va_start(ap, fmt);
	vsnprintf(f->res.why, sizeof(f->res.why), fmt, ap);
	va_end(ap);
	launch_send(EXEC_JOB_CANCEL, &cancel);
}

void
fetch_cancel(struct fetch *f)
{
	if (f == NULL)
		return;
	f->done = NULL;
	easy_end(f);
	fetch_fail(f, XERR_EIO, "cancelled");
}

static void
fetch_feed(struct fetch *f)
{
	struct exec_job_data	 data = { .job = f->job,
				    .stream = STREAM_FILE };
	struct exec_job_eof	 eof = { .job = f->job,
				    .stream = STREAM_FILE };
	size_t			 n;

	while (f->wait.len > 0 && f->sent < f->credit) {
		n = f->wait.len < FRAME_CHUNK ? f->wait.len : FRAME_CHUNK;
		if (n > f->credit - f->sent)
			n = (size_t)(f->credit - f->sent);
		data.offset = f->sent;
		data.bytes = (struct slice){ buf_data(&f->wait), n };
		if (!launch_send(EXEC_JOB_DATA, &data))
			return;
		f->sent += n;
		buf_drain(&f->wait, n);
	}
	if (f->complete && !f->eof && f->wait.len == 0) {
		f->eof = true;
		eof.offset = f->sent;
		launch_send(EXEC_JOB_EOF, &eof);
	}
}

/* -- from curl -- */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct fetch	*f = arg;
	long		 status = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return CURL_WRITEFUNC_ERROR;
	if (f->wait.len > 0) {
		f->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (n > f->limit - f->sent) {
		fetch_fail(f, XERR_E2BIG, "larger than %llu bytes",
		    (unsigned long long)f->limit);
		return CURL_WRITEFUNC_ERROR;
	}
	if (buf_add(&f->wait, p, n) == -1)
		return CURL_WRITEFUNC_ERROR;
	fetch_feed(f);
	return n;
}

static void
fetch_finished(struct fetch *f, CURLcode result)
{
	long	 status = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	easy_end(f);
	if (status != 200 && (result == CURLE_OK ||
	    result == CURLE_WRITE_ERROR))
		fetch_fail(f, XERR_EIO, "the server answered with HTTP status "
		    "%ld", status);
	else if (result == CURLE_FILESIZE_EXCEEDED)
		fetch_fail(f, XERR_E2BIG, "larger than %llu bytes",
		    (unsigned long long)f->limit);
	else if (result != CURLE_OK)
		fetch_fail(f, XERR_EIO, "%s", f->text[0] != '\0' ? f->text :
		    curl_easy_strerror(result));
	else {
		f->complete = true;
		fetch_feed(f);
	}
}

static void
multi_act(void *arg, curl_socket_t fd, int what)
{
	struct fetch	*f;
	CURLMsg		*m;
	CURLcode	 result;
	int		 n;

	curl_multi_socket_action(loop.multi, fd, what, &n);
	while ((m = curl_multi_info_read(loop.multi, &n)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		result = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
		fetch_finished(f, result);
	}
}

/* -- from the executor -- */

bool
fetch_answer(struct chan *c, const struct msg *m)
{
	const union exec_any	*b = m->body;
	struct fetch		*f;
	char			 text[sizeof(f->res.why)];

	LIST_FOREACH(f, &fetches, entry)
		if (memcmp(&f->job, &b->job_done.job, sizeof(f->job)) == 0)
			break;
	if (f == NULL)
		return false;
	if (m->type == EXEC_JOB_DONE) {
		if (!f->eof)
			chan_refuse(c, "done before the end");
		else
			fetch_end(f);
	} else if (m->type == EXEC_JOB_REFUSED) {
		slice_copy(text, sizeof(text), (struct slice){
		    b->job_refused.text.p, b->job_refused.text.len <
		    sizeof(text) ? b->job_refused.text.len :
		    sizeof(text) - 1 });
		if (f->res.code == XERR_NONE) {
			f->res.code = b->job_refused.code;
			memcpy(f->res.why, text, sizeof(text));
		}
		fetch_end(f);
	} else if (m->type == EXEC_JOB_CREDIT &&
	    b->job_credit.stream == STREAM_FILE &&
	    b->job_credit.upto > f->credit) {
		f->credit = b->job_credit.upto;
		fetch_feed(f);
		if (f->paused && f->wait.len == 0 && f->easy != NULL) {
			f->paused = false;
			curl_easy_pause(f->easy, CURLPAUSE_CONT);
		}
	}
	return true;
}

void
fetch_lost(void)
{
	struct fetch	*f;

	while ((f = LIST_FIRST(&fetches)) != NULL) {
		if (f->res.code == XERR_NONE) {
			f->res.code = XERR_EIO;
			snprintf(f->res.why, sizeof(f->res.why),
			    "the executor ended");
		}
		fetch_end(f);
	}
}
