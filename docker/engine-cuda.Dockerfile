# The engine on NVIDIA GPUs: our thin layer on the upstream vLLM image. compose.gpu.yaml builds it.
# Not built in this project's CI, which has neither a GPU nor that image: see docs/operations.md.
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0

FROM ${VLLM_IMAGE} AS builder
WORKDIR /src
COPY requirements/core.lock requirements/uv.lock requirements/
COPY packages/core packages/core
COPY services/inference services/inference
ARG INDEX_URL
RUN --mount=type=secret,id=ca <<'BUILD'
set -eu
if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; fi
if [ -n "${INDEX_URL:-}" ]; then export PIP_INDEX_URL=$INDEX_URL; fi
python3 -m pip install --quiet --no-cache-dir --require-hashes --target /opt/uv -r requirements/uv.lock
for package in packages/core services/inference; do
  /opt/uv/bin/uv build --quiet --offline --wheel --out-dir /tmp/own "$package"
done
python3 -m pip install --quiet --no-cache-dir --no-deps --no-index --target /opt/code /tmp/own/*.whl
# What the image has itself stays in front; only what it lacks of ours is taken from here.
python3 -m pip install --quiet --no-cache-dir --no-deps --require-hashes --target /opt/core -r requirements/core.lock
site=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '/opt/code\n/opt/core\n' >/opt/bedside.pth
printf '%s/bedside.pth' "$site" >/opt/pth-path
BUILD

FROM ${VLLM_IMAGE}
COPY --from=builder /opt/code /opt/code
COPY --from=builder /opt/core /opt/core
COPY --from=builder /opt/bedside.pth /opt/pth-path /opt/
ENV PATH=/opt/code/bin:${PATH} \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BEDSIDE_SERVICE=engine \
    BEDSIDE_HOME=/var/lib/bedside \
    BEDSIDE_PIN_FILE=/var/lib/bedside-pin/pin \
    BEDSIDE_RUN_DIR=/run/bedside/run \
    BEDSIDE_SECRETS=/run/secrets/bedside \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    TRANSFORMERS_OFFLINE=1 \
    HF_DATASETS_OFFLINE=1 \
    HF_EVALUATE_OFFLINE=1 \
    VLLM_NO_USAGE_STATS=1 \
    DO_NOT_TRACK=1
RUN mv /opt/bedside.pth "$(cat /opt/pth-path)" \
    && install -d -o 10001 -g 0 -m 0775 /app /run/bedside /run/bedside-exam /var/lib/bedside /run/secrets/bedside \
    && echo 'bedside:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd \
    && echo engine > /etc/bedside-image \
    && python3 -IB -c "import bedside_core.cli, bedside_inference.engine.launch" \
    && bedside --help > /dev/null
USER 10001:10001
WORKDIR /app
STOPSIGNAL SIGTERM
ENTRYPOINT ["bedside"]
CMD ["--help"]
ARG VERSION=0.2.0
ARG GIT_REVISION
ENV BEDSIDE_GIT_REVISION=${GIT_REVISION}
LABEL org.opencontainers.image.title="bedside/engine" \
      org.opencontainers.image.description="Bedside: vLLM on NVIDIA GPUs, serving only what was verified" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${GIT_REVISION}"
