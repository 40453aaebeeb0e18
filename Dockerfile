# The skill runner as an image: what people start, or derive from, to run Abbot
# skills.  Everything else of xbot-supervisor stays out of it.
#
#	docker build -t abbotpublic.azurecr.io/runner/python \
#	    -t abbotpublic.azurecr.io/runners/python .
#	docker run -p 8080:80 -e ABBOT_SKILL_RUNNER_TOKEN=... \
#	    abbotpublic.azurecr.io/runner/python
#
# A derived image says `RUN pip install ...': pip is that of the virtual
# environment below, whose modules skills import.

ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
COPY . /src
WORKDIR /src
RUN etc/deps.sh build && \
    meson setup --buildtype=release /build && \
    ninja -C /build xbot-supervisor xbot-front xbot-skill

FROM ${BASE}
COPY etc/deps.sh etc/users.sh etc/xbot.sysusers /usr/share/xbot/
RUN /usr/share/xbot/deps.sh skill && /usr/share/xbot/users.sh && \
    python3 -m venv --system-site-packages /opt/xbot/venv && \
    echo 'skill only' > /etc/xbot.conf
COPY --from=build /build/xbot-supervisor /usr/sbin/
COPY --from=build /build/xbot-front /build/xbot-skill /usr/libexec/xbot/
COPY --from=build /src/workers/skill/xbot_skill /usr/libexec/xbot/xbot_skill

ENV PATH=/opt/xbot/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ABBOT_SANDBOX_POLICY=permissive HOST=0.0.0.0 PORT=80
EXPOSE 80
CMD ["/usr/sbin/xbot-supervisor", "-d"]
