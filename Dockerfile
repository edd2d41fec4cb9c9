# One image for the server and the worker. Keep WORKDIR: app, models and workers are plain
# top-level packages that Python finds from this directory.
FROM python:3.11-slim-bookworm AS base

ARG PRICETAG_GIT_COMMIT=""
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PRICETAG_GIT_COMMIT=${PRICETAG_GIT_COMMIT} \
    PRICETAG_DATA_DIR=/data \
    PATH=/opt/venv/bin:$PATH
WORKDIR /srv/pricetag
RUN python -m venv /opt/venv \
    && groupadd --gid 10001 pricetag \
    && useradd --uid 10001 --gid pricetag --home-dir /data --no-create-home pricetag \
    && install -d -o pricetag -g pricetag /data /data/artifacts
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY pricetag pricetag
COPY models models
COPY migrations migrations
COPY alembic.ini ./
COPY app app

FROM base AS api
RUN pip install -c constraints.txt -e '.[server]'
USER pricetag
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["pricetag", "serve", "--host", "0.0.0.0", "--port", "8000", "--no-migrate"]

FROM base AS worker
COPY workers workers
# The image has no git repository: the commit is passed as a build argument.
RUN pip install -c constraints.txt -e '.[server,worker]'
USER pricetag
# The same check as `pricetag worker --check`, without starting Python beside a metered job.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["sh", "-c", "find /data/workers -name '*.alive' -mmin -0.5 | grep -q ."]
CMD ["pricetag", "worker", "--pool", "default", "--gpus", "none"]
