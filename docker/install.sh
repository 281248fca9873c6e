#!/bin/bash
# One step of an image's build, run by docker/Dockerfile:
#   uv                      the installer, itself hash-locked
#   torch                   /opt/torch: the CPU build of torch, or the general one where there is none
#   dependencies SERVICE    /opt/bedside: the service's environment, exactly its lock file
#   code SERVICE            /opt/code: our own packages and the `bedside` command
set -euo pipefail

uv=/opt/uv/bin/uv
export UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never

# A proxy that inspects TLS has a certificate authority of its own (build secret `ca`).
if [ -s /run/secrets/ca ]; then
  export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca
fi
if [ -n "${INDEX_URL:-}" ]; then export PIP_INDEX_URL=$INDEX_URL UV_DEFAULT_INDEX=$INDEX_URL; fi
if [ -n "${EXTRA_INDEX_URL:-}" ]; then
  export UV_INDEX=$EXTRA_INDEX_URL UV_INDEX_STRATEGY=unsafe-best-match
fi
if [ -d /wheels ]; then export PIP_FIND_LINKS=/wheels UV_FIND_LINKS=/wheels; fi

case $1 in
  uv)
    python3 -m venv /opt/uv
    /opt/uv/bin/pip install --quiet --no-cache-dir --require-hashes -r requirements/uv.lock
    ;;
  torch)
    into=(--quiet --python /usr/bin/python3 --target /opt/torch --no-deps --require-hashes)
    # TORCH=general: with CUDA libraries, for GPUs; TORCH=auto: small, where there is a CPU build
    if [ "${TORCH:-auto}" = general ]; then
      # From the index alone: a CPU build among the wheels would pass for the same version.
      env -u UV_FIND_LINKS $uv pip install "${into[@]}" -r requirements/torch-general.lock
    elif ! $uv pip install "${into[@]}" -r requirements/torch-cpu.lock; then
      echo "install: no CPU build of torch here - taking the general one, 3 GB more" >&2
      $uv pip install "${into[@]}" -r requirements/torch-general.lock
    fi
    rm -f /opt/torch/.lock
    # Headers, static libraries and torch's own tests: for compiling against it, which nobody does.
    rm -rf /opt/torch/torch/include /opt/torch/torch/test /opt/torch/torch/share
    find /opt/torch/torch -name '*.a' -delete
    find /opt/torch/torch/bin -type f ! -name torch_shm_manager -delete
    ;;
  dependencies)
    lock=requirements.lock
    [ "$2" != engine ] || lock=engine.lock
    $uv venv --quiet --python /usr/bin/python3 /opt/bedside
    $uv pip sync --quiet --python /opt/bedside/bin/python --require-hashes "$lock"
    # The packages' own tests and headers: up to 180 MB that nothing here runs or compiles against.
    find /opt/bedside/lib -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +
    printf '/opt/code\n/opt/torch\n' >/opt/bedside/lib/python3.11/site-packages/bedside.pth
    ;;
  code)
    # uv builds with its own, hash-locked backend, so nothing is fetched here.
    own=(packages/core "services/$2")
    # Only where there is torch.
    case $2 in trainer|merger|eval) own+=(packages/models) ;; esac
    for package in "${own[@]}"; do
      $uv build --quiet --offline --wheel --out-dir /tmp/own "$package"
    done
    $uv pip install --quiet --offline --python /opt/bedside/bin/python --target /opt/code --no-deps /tmp/own/*.whl
    # uv's lock on its target, which everybody may write.
    rm -f /opt/code/.lock
    ;;
esac
