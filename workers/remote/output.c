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
 * An answer on its way to front: cut into chunks as front's credit allows,
 * out of the memory in which it came.  Runs in: remote.
 */

#include <sys/stat.h>

#include <string.h>

#include "base/log.h"
#include "proto/frame.h"
#include "workers/remote/remote.h"

#define ENTRIES_MAX	256	/* of one file_entries */

/* Decode the next piece of a file over its own text; false: malformed. */
static bool
output_decode(struct output *o)
{
	size_t	n = o->text_len < FRAME_CHUNK ? o->text_len : FRAME_CHUNK;
	ssize_t	got;

	got = base64_dec_add(&o->dec, o->text, o->text, n);
	if (got < 0 || (size_t)got < o->skip)
		return false;
	o->data.p = o->text + o->skip;
	o->data.len = (size_t)got - o->skip;
	o->skip = 0;
	if (o->data.len > o->left)
		o->data.len = (size_t)o->left;
	o->left -= o->data.len;
	o->text += n;
	o->text_len -= n;
	return o->data.len > 0 || o->left == 0;
}

/* false: the op is gone. */
static bool
output_send(struct op *op, struct output *o)
{
	struct exec_job_data	data = { .job = op->job, .stream = o->stream };
	uint64_t		n;

	while (o->sent < o->upto && !peer_is_full(op->s->peer)) {
		if (o->data.len == 0 && o->left > 0 && !output_decode(o)) {
			log_info("connection %llu: malformed base64",
			    (unsigned long long)op->link->serial);
			op_refuse(op, XERR_EIO,
			    "the runner sent malformed base64");
			return false;
		}
		if ((n = o->data.len) == 0)
			break;
		if (n > o->upto - o->sent)
			n = o->upto - o->sent;
		if (n > FRAME_CHUNK)
			n = FRAME_CHUNK;
		data.offset = o->sent;
		data.bytes = (struct slice){ o->data.p, n };
		op_send(op, EXEC_JOB_DATA, &data);
		o->data.p = (const char *)o->data.p + n;
		o->data.len -= n;
		o->sent += n;
	}
	return true;
}

static void
output_entries(struct op *op, struct output *o)
{
	struct exec_file_entries	msg = { .job = op->job };
	struct slice			names[ENTRIES_MAX];
	uint32_t			modes[ENTRIES_MAX], n;
	uint64_t			sizes[ENTRIES_MAX];
	const struct entry		*e;

	while (o->sent < o->upto && o->sent < op->nentries &&
	    !peer_is_full(op->s->peer)) {
		msg.offset = o->sent;
		for (n = 0; n < ENTRIES_MAX && o->sent < o->upto &&
		    o->sent < op->nentries; n++, o->sent++) {
			e = &op->entries[o->sent];
			names[n] = e->name;
			modes[n] = e->is_dir ? S_IFDIR | 0755 :
			    S_IFREG | 0644;
			sizes[n] = e->size;
		}
		msg.names = (struct slices){ names, n };
		msg.modes = (struct u32s){ modes, n };
		msg.sizes = (struct u64s){ sizes, n };
		op_send(op, EXEC_FILE_ENTRIES, &msg);
	}
}

static bool
output_is_over(const struct output *o)
{
	return o->data.len == 0 && o->left == 0;
}

/* Send what may be sent; the op is gone when that was all. */
void
output_pump(struct op *op)
{
	struct exec_job_eof eof = { op->job, STREAM_FILE, 0 };

	if (op->type == EXEC_FILE_LIST) {
		output_entries(op, &op->outputs[0]);
		if (op->outputs[0].sent == op->nentries)
			op_done(op);
		return;
	}
	if (!output_send(op, &op->outputs[0]) ||
	    !output_send(op, &op->outputs[1]))
		return;
	if (!output_is_over(&op->outputs[0]) ||
	    !output_is_over(&op->outputs[1]))
		return;
	if (op->type == EXEC_TASK_READ) {
		task_read_sent(op);
		return;
	}
	if (op->type == EXEC_JOB_START) {
		op_exit(op);
		return;
	}
	eof.offset = op->outputs[0].sent;
	op_send(op, EXEC_JOB_EOF, &eof);
	op_done(op);
}

void
output_credit(struct op *op, uint8_t stream, uint64_t upto)
{
	struct output	*o = &op->outputs[0];

	bool		 two = op->type == EXEC_JOB_START ||
			    op->type == EXEC_TASK_READ;

	/* May come before there is anything to send. */
	if (two && stream == STREAM_STDERR)
		o = &op->outputs[1];
	else if (stream != (two ? STREAM_STDOUT : STREAM_FILE))
		return;
	if (upto <= o->upto)
		return;
	o->upto = upto;
	if (op->step == OP_OUTPUT)
		output_pump(op);
	else if (op->step == OP_STREAM)
		stream_pump(op);
}
