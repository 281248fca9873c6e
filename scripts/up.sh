#!/usr/bin/env bash
# Start the stack, with readable reasons where it cannot start: scripts/up.sh   (make up)
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'bedside: %s\n' "$1" >&2; exit 2; }

command -v docker >/dev/null || die "docker is not installed - install Docker Engine 25 or later with its Compose plugin"
docker compose version >/dev/null 2>&1 || die "this docker has no Compose plugin - install docker-compose-plugin (2.20 or later)"
said=$(docker version --format '{{.Server.Version}}' 2>&1) || case $said in
  *[Pp]ermission*) die "user $(id -un) may not use Docker - add it to the group docker, or ask whoever runs this host" ;;
  *) die "the Docker Engine does not answer - start it (systemctl start docker)" ;;
esac
docker compose config --quiet || die "compose.yaml or .env is not right; the message above says where"

docker compose up --detach --wait --wait-timeout 1800 "$@" || die "the stack is not up; the message above says why, \`docker compose logs\` says more. \
A port in use: set BEDSIDE_PORT in .env. The same command goes on from here"
docker compose logs --no-log-prefix keys | tail -n 2
cat <<'NEXT'
The gateway answers. Next:
  docker compose exec gateway bedside inference keys create      an API key, shown once
  scripts/selftest.sh                                            prove what the stack promises
  docker compose run --rm promote                                adapt, prove and promote; then
  docker compose restart engine                                  serve what is promoted
NEXT
