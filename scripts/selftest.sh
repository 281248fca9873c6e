#!/usr/bin/env bash
# Prove what the running stack promises: scripts/selftest.sh [REPORT]
# Asks every container from within, with a listener outside the clinical network as the positive
# control. REPORT (default selftest.jsonl) gets one JSON object per check. Exit 5 if any check failed.
set -euo pipefail
report=$(realpath "${1:-selftest.jsonl}")
cd "$(dirname "$0")/.."
export COMPOSE_PROFILES=switch # either engine may be the one that serves

engines=$(docker compose ps --services --status running engine engine-next)
[ -n "$engines" ] || { echo "bedside: no engine runs - docker compose up, then test" >&2; exit 2; }
docker compose up --detach --no-deps listener
trap 'docker compose rm --stop --force listener >/dev/null 2>&1' EXIT
address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' \
  "$(docker compose ps --quiet listener)"):9000

failed=0
ask() {
  local code=0
  "$@" >>"$report.part" || code=$?
  case $code in 0) ;; 5) failed=1 ;; *) exit "$code" ;; esac
}
rm -f "$report.part"
for service in $engines gateway; do
  # shellcheck disable=SC2016  # the variable is the container's
  ask docker compose exec -T --env BEDSIDE_SELFTEST_LISTENER="$address" "$service" \
    sh -c 'exec bedside inference selftest "$BEDSIDE_SERVICE" --set "inference.engine.url=http://$0:8000" \
      --set inference.gateway.host=127.0.0.1 --set inference.gateway.port=8080' "$service"
done
for service in corpus trainer merger eval; do
  ask docker compose run --rm --no-deps -T --env BEDSIDE_SELFTEST_LISTENER="$address" "$service" selftest
done
mv "$report.part" "$report"
sed -E 's/^\{"ok": true, "where": "([^"]*)", "check": "([^"]*)", .*/ok      \1: \2/;
        s/^\{"ok": false, "where": "([^"]*)", "check": "([^"]*)", "detail": (.*)\}$/FAILED  \1: \2 \3/' "$report"
echo "report: $report"
[ "$failed" -eq 0 ] || { echo "bedside: the self-test failed; the lines above that begin with FAILED say where" >&2; exit 5; }
