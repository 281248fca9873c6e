#!/usr/bin/env bash
# Put a backup into a stack that has nothing yet: scripts/restore.sh FILE.tar
# Checks every artifact against its manifest afterwards.
set -euo pipefail
file=$(realpath "${1:?usage: scripts/restore.sh FILE.tar}")
cd "$(dirname "$0")/.."
die() { printf 'bedside: %s\n' "$1" >&2; exit "${2:-2}"; }

[ -r "$file" ] || die "$file cannot be read"
docker image inspect "$(docker compose --profile archive config --images archive)" >/dev/null 2>&1 ||
  die "the images are not here - make images, or bedside bundle load, then restore"
[ -z "$(COMPOSE_PROFILES=switch docker compose ps --quiet engine engine-next gateway)" ] || die "the stack is running - docker compose down, then restore"
held=$(docker compose run --rm --no-deps -T --entrypoint ls archive -A bedside/artifacts 2>/dev/null || true)
[ -z "$held" ] || die "this stack's registry is not empty - restore into a new project (COMPOSE_PROJECT_NAME)"

docker compose run --rm --no-deps -T archive --extract --file - --preserve-permissions <"$file" ||
  die "$file could not be unpacked; remove the volumes (docker compose down --volumes) before the next try" 4
docker compose run --rm --no-deps -T --entrypoint bedside archive registry verify ||
  die "the backup is damaged; the message above names the file" 4
echo "restored; next: docker compose up --detach --wait, then \"Backup and restore\" in docs/operations.md"
