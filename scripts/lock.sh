#!/usr/bin/env bash
# Recompile every lock file from the pyproject files: scripts/lock.sh. Locks name no index host.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venvs/uv/bin/uv ] || bash scripts/setup.sh
uv=$PWD/.venvs/uv/bin/uv
export UV_SYSTEM_CERTS=1 UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}
options=(--quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
         --no-annotate --excludes requirements/excludes.txt --no-emit-package bedside-core
         --no-emit-package bedside-models --no-emit-package torch)
cpu=(-c requirements/constraints.txt)

lock() { local out=$1; shift; "$uv" pip compile "${options[@]}" "$@" -o "$out"; echo "$out"; }

lock requirements/dev.lock "${cpu[@]}" --extra endpoint --extra gateway packages/*/pyproject.toml services/*/pyproject.toml requirements/dev.in
same=("${cpu[@]}" -c requirements/dev.lock)
lock requirements/core.lock "${same[@]}" packages/core/pyproject.toml
lock requirements/bundle.lock "${same[@]}" --extra create packages/bundle/pyproject.toml
for service in corpus trainer merger eval; do
  lock "services/$service/requirements.lock" "${same[@]}" "services/$service/pyproject.toml"
done
lock services/corpus/ray.lock "${same[@]}" -c services/corpus/requirements.lock --extra ray services/corpus/pyproject.toml
lock services/inference/requirements.lock "${same[@]}" --extra gateway services/inference/pyproject.toml
lock services/inference/engine.lock "${cpu[@]}" --extra engine services/inference/pyproject.toml

# What others wrote, which checks ours and knows nothing of it: clients of the gateway, verifiers of
# the public formats.
clients=tests/inference/clients/locks
for name in requirements/verify "$clients"/{openai2,openai3,node}; do
  "$uv" pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-annotate --only-binary :all: --no-binary jsonpath-rw "$name.in" -o "$name.lock"
  echo "$name.lock"
done

# The peers of bench/trainer and bench/corpus, over the libraries of the dev environment.
for peers in bench/{trainer,corpus}/peers; do
  "$uv" pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-annotate --no-deps --only-binary :all: "$peers.in" -o "$peers.lock"
done

# torch stands apart, because it comes as a CPU build or as the general build with CUDA libraries.
torch=(--quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate)
shared=$(grep -hoE '^[A-Za-z0-9_.-]+==' requirements/dev.lock | tr -d = | sed 's/^/--no-emit-package /')
# shellcheck disable=SC2086
echo 'torch==2.13.0+cpu' | "$uv" pip compile "${torch[@]}" $shared -c requirements/dev.lock - \
  -o requirements/torch-cpu.lock
# shellcheck disable=SC2086
echo 'torch==2.13.0' | UV_FIND_LINKS='' "$uv" pip compile "${torch[@]}" $shared -c requirements/dev.lock - \
  -o requirements/torch-general.lock
