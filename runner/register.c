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
 * Registration: what the runner says about itself, and what a refusal means.
 * Runs in: xbot-runner.  The answer is hostile.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/ws.h"
#include "runner/llm.h"
#include "runner/register.h"

static const struct advice {
	const char	*code;
	const char	*text;
} advices[] = {
	{ "AUTH_FAILED", "token refused: create a new one with RunnerCreate "
	    "or `xbot-admin runner create`" },
	{ "FORBIDDEN", "the user in --server and --user-id are not the same" },
	{ "INVALID", "the server wants a user: ws://HOST:PORT/ws/USER" },
};

static void	advise(const char *, struct slice);

void
register_send(struct ws *ws, const struct registration *reg, bool v2)
{
	struct buf	 text = { 0 };
	struct jsonw	 w;

	/* Room first: no half-grown copy of the token stays behind. */
	if (buf_reserve(&text, 64 * 1024) == NULL)
		fatalx("out of memory");
	jsonw_init(&w, &text);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "type", "register");
	jsonw_text(&w, "user_id", reg->user_id);
	jsonw_object(&w, "body");
	jsonw_text(&w, "user_id", reg->user_id);
	jsonw_text(&w, "auth_token", reg->token);
	jsonw_text(&w, "workspace", reg->workspace);
	jsonw_text(&w, "shell", reg->shell);
	if (llm_on()) {
		jsonw_text(&w, "llm_provider", llm_provider());
		jsonw_text(&w, "llm_model", llm_registered());
	}
	if (v2 && reg->name[0] != '\0')
		jsonw_text(&w, "name", reg->name);
	jsonw_end(&w);
	jsonw_end(&w);
	if (!jsonw_ok(&w))
		fatalx("out of memory");
	ws_send(ws, WS_TEXT, 1, buf_data(&text), text.len);
	explicit_bzero(text.mem, text.cap);
	buf_clear(&text);
}

static void
advise(const char *code, struct slice message)
{
	char		 vcode[4 * REGISTER_CODE_MAX], vmessage[512];
	const char	*text = "registration refused";
	size_t		 i;

	for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		if (strcmp(advices[i].code, code) == 0)
			text = advices[i].text;
	log_errorx("%s: %s: %s",
	    log_vis(vcode, sizeof(vcode), code, strlen(code)),
	    log_vis(vmessage, sizeof(vmessage), message.p, message.len), text);
}

enum register_answer
register_read(char *text, size_t len, char code[REGISTER_CODE_MAX])
{
	struct v1_member	 m[] = { { .key = "code" },
		{ .key = "message" } };
	struct v1_message	 msg;
	struct slice		 got, message;
	const char		*why;
	char			 now[REGISTER_CODE_MAX];

	if (v1_parse(text, len, &msg, &why) == -1) {
		log_warnx("the server's first message: %s", why);
		return REGISTER_UNREADABLE;
	}
	if (msg.type != V1_ERROR) {
		code[0] = '\0';
		return REGISTER_OK;
	}
	/* Without a body both are empty, which is an answer as well. */
	v1_members(&msg.body, m, 2);
	got = v1_string(&m[0].value);
	message = v1_string(&m[1].value);
	snprintf(now, sizeof(now), "%.*s", (int)(got.len < sizeof(now) ?
	    got.len : sizeof(now) - 1), got.len > 0 ? (const char *)got.p :
	    "");
	if (now[0] == '\0')
		snprintf(now, sizeof(now), "ERROR");
	if (strcmp(now, code) != 0)
		advise(now, message);
	memcpy(code, now, sizeof(now));
	return REGISTER_REFUSED;
}
