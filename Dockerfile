# syntax=docker/dockerfile:1
# One image, two verbs: `receiver` (the default) and `workers`; `synap-hooks` on its PATH.
#
#   docker build -t synap-hooks .
#   docker build -t synap-hooks --build-arg EXTRAS=aws,kubernetes .
#
# Both bases are arguments, so that a mirror or a digest can stand in for the tag.
ARG BUILD_BASE=python:3.13-slim
ARG RUN_BASE=python:3.13-slim

# hadolint ignore=DL3006
FROM ${BUILD_BASE} AS build
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
RUN python -m venv /app
COPY requirements.txt requirements-extras.txt ./
# What every image has; each file that comes from the index must have a pinned hash. Extras are
# fetched against the same kind of pins; below, those that were asked for are installed from what
# was fetched and from nothing else.
RUN /app/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements.txt \
    && if [ -n "$EXTRAS" ]; then \
      /app/bin/pip download --require-hashes --no-deps --only-binary :all: --dest /wheels -r requirements-extras.txt; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY workers workers
RUN /app/bin/pip install --no-deps --no-build-isolation . \
    && if [ -n "$EXTRAS" ]; then \
      /app/bin/pip install --no-index --find-links /wheels --no-build-isolation ".[$EXTRAS]"; \
    fi \
    && /app/bin/python -m compileall -q /app/lib \
    # what builds and installs is not what runs
    && /app/bin/pip uninstall --yes setuptools pip \
    && chmod -R go-w /app

# hadolint ignore=DL3006
FROM ${RUN_BASE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="synap-hooks" \
      org.opencontainers.image.description="Receives Synap's webhooks, keeps every one of them, and tells on-call once, at the right place." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# PYTHONSAFEPATH: what somebody mounts over the working directory is never imported
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
COPY --from=build --chown=0:0 /app /app
WORKDIR /app
EXPOSE 8080 9090 9091
# a number, so that a platform can prove that it is not root
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["receiver"]
