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
docker compose run --rm --no-deps -T archive --create --file - --ignore-failed-read \
  --warning=no-file-changed --warning=no-failed-read --exclude='*.lock' \
  bedside/promotions.jsonl bedside/runs bedside/keys bedside-signing bedside-gateway \
  bedside/artifacts >"$file.part" || { [ $? -eq 1 ] || exit 4; }
sync "$file.part"
mv "$file.part" "$file"
sha256sum "$file"
