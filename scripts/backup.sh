#!/usr/bin/env bash
# Save what cannot be made again: scripts/backup.sh FILE.tar
# Registry (artifacts, runs, promotions, public key), the signing key and the gateway's state. The
# file holds the private key and hashed API keys: keep it as you keep those. The stack may run.
set -euo pipefail
file=$(realpath "${1:?usage: scripts/backup.sh FILE.tar}")
cd "$(dirname "$0")/.."
[ ! -e "$file" ] || { echo "bedside: $file exists - name another" >&2; exit 2; }
umask 077
trap 'rm -f "$file.part"' EXIT

# What refers goes before what is referred to: an artifact is complete before anything names it, so
# whatever a running step adds meanwhile cannot leave a name without its artifact.
# shellcheck disable=SC2016  # the variables are the container's
docker compose run --rm --no-deps -T --entrypoint sh archive -c '
  for name; do if [ -e "$name" ]; then set -- "$@" "$name"; fi; shift; done
  exec tar --create --file - --warning=no-file-changed --exclude="*.lock" "$@"' sh \
  bedside/promotions.jsonl bedside/runs bedside/keys bedside-signing bedside-gateway \
  bedside/artifacts >"$file.part" || code=$?
# 1 is tar's "a file changed", and also what docker says when it could not run at all: look inside.
if [ "${code:-0}" -gt 1 ] || [ ! -s "$file.part" ] || ! tar --list --file "$file.part" >/dev/null; then
  echo "bedside: no backup was made; the message above says why" >&2
  exit 4
fi
sync "$file.part"
mv "$file.part" "$file"
sha256sum "$file"
