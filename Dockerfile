# syntax=docker/dockerfile:1
# The service with no compiler, pip or uv in its environment, run by a user without rights. What it writes is
# in /data, in the inbox and, when weights are fetched, in /models; the rest may be read-only.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements.lock pyproject.toml README.md LICENSE ./
# uv itself by the hashes in the lock; then the lock, from wheels alone.
RUN python -m venv /opt/installer \
 && awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' requirements.lock > uv.lock \
 && /opt/installer/bin/pip install --no-deps --only-binary :all: --require-hashes --requirement uv.lock \
 && python -m venv --without-pip /opt/erni-audio \
 && awk '/^[a-z]/ { on = ($0 !~ /^uv==/) } on { print }' requirements.lock > service.lock \
 && /opt/installer/bin/uv pip install --python /opt/erni-audio/bin/python --compile-bytecode \
      --require-hashes --only-binary :all: --requirement service.lock
COPY core core
COPY bots bots
COPY connectors connectors
RUN /opt/installer/bin/uv pip install --python /opt/erni-audio/bin/python --compile-bytecode \
      --no-deps --no-build-isolation . \
 && /opt/installer/bin/uv pip uninstall --python /opt/erni-audio/bin/python hatchling editables trove-classifiers

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Erni Audio" \
      org.opencontainers.image.description="Answers a shared recording with a speaker-labelled transcript" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --system --gid 10001 erni \
 && useradd --system --uid 10001 --gid erni --home-dir /data --no-create-home --shell /usr/sbin/nologin erni \
 && install --directory --owner=erni --group=erni --mode=0700 /data \
 && install --directory --owner=erni --group=erni --mode=0755 /inbox /models
COPY --from=build /opt/erni-audio /opt/erni-audio
ENV PATH=/opt/erni-audio/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    ERNI_DATA_DIR=/data \
    MODELS_DIR=/models \
    FOLDER_PATHS=/inbox \
    ERNI_HTTP_HOST=0.0.0.0 \
    ERNI_HTTP_PORT=8765 \
    ERNI_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8765
STOPSIGNAL SIGTERM
# Workers have no HTTP server; docker-compose.yml turns this off for them.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['ERNI_HTTP_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["erni-audio"]
CMD ["serve"]
