#!/usr/bin/env bash
# Put a backup into a stack that has nothing yet: scripts/restore.sh [--kubernetes [NAMESPACE/]RELEASE] FILE.tar
# Checks every artifact against its manifest afterwards.
set -euo pipefail
usage="usage: scripts/restore.sh [--kubernetes [NAMESPACE/]RELEASE] FILE.tar"
release=
if [ "${1:-}" = --kubernetes ]; then release=${2:?$usage}; shift 2; fi
file=$(realpath "${1:?$usage}")
cd "$(dirname "$0")/.."
die() { printf 'bedside: %s\n' "$1" >&2; exit "${2:-2}"; }

[ -r "$file" ] || die "$file cannot be read"
if [ -n "$release" ]; then
  . scripts/admin-pod.sh
  admin_pod "$release"
  in_archive() { in_pod "$@"; }
  running=$("${kubectl[@]}" get pods --output name \
    --selector "$selector,app.kubernetes.io/component in (gateway,engine,engine-next,adapt)")
  stop="scale its StatefulSet and Deployments to 0, then restore"
  new="restore into a new release"
  clear="delete the release's claims"
  next="scale them to 1 again"
else
  docker image inspect "$(docker compose --profile archive config --images archive)" >/dev/null 2>&1 ||
    die "the images are not here - make images, or bedside bundle load, then restore"
  in_archive() { docker compose run --rm --no-deps -T --entrypoint "$1" archive "${@:2}"; }
  running=$(COMPOSE_PROFILES=switch docker compose ps --quiet engine engine-next gateway)
  stop="docker compose down, then restore"
  new="restore into a new project (COMPOSE_PROJECT_NAME)"
  clear="remove the volumes (docker compose down --volumes)"
  next="docker compose up --detach --wait"
fi
[ -z "$running" ] || die "the stack is running - $stop"
held=$(in_archive ls -A bedside/artifacts 2>/dev/null </dev/null || true)
[ -z "$held" ] || die "this stack's registry is not empty - $new"

# On Kubernetes a gateway has run once before its claim exists; what it began is kept aside.
if [ -n "$release" ]; then
  # shellcheck disable=SC2016  # the date is the pod's
  in_archive sh -c '[ ! -e bedside-gateway/gateway ] ||
    mv bedside-gateway/gateway "bedside-gateway/before-restore-$(date +%s)"' </dev/null
fi
in_archive tar --extract --file - --preserve-permissions <"$file" ||
  die "$file could not be unpacked; $clear before the next try" 4
in_archive bedside registry verify </dev/null ||
  die "the backup is damaged; the message above names the file" 4
echo "restored; next: $next, then \"Backup and restore\" in docs/operations.md"
