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
 * Questions of front, control and reaper.  Runs in: docker.  All are refused
 * yet.
 */

#include "proto/ctl_msg.h"
#include "proto/error.h"
#include "workers/docker/docker.h"

static void
refuse(struct chan *c, const struct msg *m)
{
	struct ctl_sandbox_done no = { .code = XERR_ENOTSUP,
	    .text = slice_str("not built into this version"),
	    .image = slice_str("") };

	chan_send(c, CTL_SANDBOX_DONE, m->serial, &no);
}

void
on_sandbox_show(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_list(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_commit(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_stop(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_reset(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_idle(struct chan *c, const struct msg *m)
{
	refuse(c, m);
}

void
on_sandbox_sweep(struct chan *c, const struct msg *m)
{
	struct ctl_sandbox_swept no = { XERR_ENOTSUP,
	    slice_str("not built into this version") };

	chan_send(c, CTL_SANDBOX_SWEPT, m->serial, &no);
}

void
sandboxes_sweep(void)
{
}
