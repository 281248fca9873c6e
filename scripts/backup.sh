#!/usr/bin/env bash
# Save what cannot be made again: scripts/backup.sh [--kubernetes [NAMESPACE/]RELEASE] FILE.tar
# Registry (artifacts, runs, log), its signing keys and pin, and the gateway's state (API keys,
# audit log and its keys). The file is as secret as those keys. The stack may run.
set -euo pipefail
usage="usage: scripts/backup.sh [--kubernetes [NAMESPACE/]RELEASE] FILE.tar"
release=
if [ "${1:-}" = --kubernetes ]; then release=${2:?$usage}; shift 2; fi
file=$(realpath "${1:?$usage}")
cd "$(dirname "$0")/.."
[ ! -e "$file" ] || { echo "bedside: $file exists - name another" >&2; exit 2; }
umask 077
trap 'rm -f "$file.part"' EXIT
if [ -n "$release" ]; then
  . scripts/admin-pod.sh
  end_of_script() { rm -f "$file.part"; }
  admin_pod "$release"
  in_archive() { in_pod "$@" </dev/null; }
else
  in_archive() { docker compose run --rm --no-deps -T --entrypoint "$1" archive "${@:2}"; }
fi

# What refers goes before what is referred to: an artifact is complete before anything names it, so
# whatever a running step adds meanwhile cannot leave a name without its artifact, nor a head of the
# registry's log without its line. Likewise the audit
# log: checkpoint, head and the workers' notes of where their open requests begin are copied before the
# segments, which then hold at least what those name, and --sort puts the segments before the pseudonym
# keys. The database is copied by SQLite.
save=$(cat <<'SH'
set -eu
umask 077
home=bedside-gateway/gateway
now=$(mktemp -d)
mkdir -p "$now/$home/audit"
if [ -e "$home/state.sqlite3" ]; then
  python3 -c 'import sqlite3, sys
source, copy = sys.argv[1:]
sqlite3.connect(f"file:{source}?mode=rw", uri=True).backup(sqlite3.connect(copy))' \
    "$home/state.sqlite3" "$now/$home/state.sqlite3"
fi
if [ -e "$home/checkpoint.json" ]; then
  # Opened once: cp looks twice, and fails if the gateway has signed a new one in between.
  cat "$home/checkpoint.json" >"$now/$home/checkpoint.json"
  chmod 644 "$now/$home/checkpoint.json"
fi
readers=
if [ -e "$home/audit/readers" ]; then
  flock --shared "$home/audit/head" cp -p "$home/audit/head" "$now/$home/audit"
  readers=$home/audit/readers # while it is held nobody deletes segments
fi
for name; do if [ -e "$name" ]; then set -- "$@" "$name"; fi; shift; done
for worker in "$home"/audit/workers/*; do
  [ -e "$worker" ] || continue
  mkdir -p "$now/$home/audit/workers"
  # One that ends in this instant left nothing open; one that just begins is taken with the segments.
  if cat "$worker" >"$now/$worker" 2>/dev/null && [ -s "$now/$worker" ]; then
    set -- "--exclude=$worker" "$@"
  else
    rm -f "$now/$worker"
  fi
done
# tar's 1 is "a file changed".
${readers:+flock --shared "$readers"} tar --create --file - --sort=name \
  --warning=no-file-changed --exclude='*.lock' --exclude='*.sqlite3-journal' --anchored \
  --exclude="$home/state.sqlite3" --exclude="$home/checkpoint.json" --exclude="$home/audit/head" \
  --directory="$now" ./bedside-gateway --directory="$PWD" "$@" || [ $? -eq 1 ]
SH
)
in_archive sh -c "$save" sh \
  bedside/log.head bedside/log.jsonl bedside/runs bedside/keys bedside-evidence bedside-operator bedside-pin \
  bedside-gateway bedside/artifacts >"$file.part" || code=$?
# An archive that was cut between two files looks whole, but for the zeros at its end.
if [ "${code:-0}" -ne 0 ] || [ ! -s "$file.part" ] || ! tar --list --file "$file.part" >/dev/null ||
  [ "$(tail -c 1024 "$file.part" | tr -d '\0' | wc -c)" -ne 0 ]; then
  echo "bedside: no backup was made; the message above says why" >&2
  exit 4
fi
sync "$file.part"
mv "$file.part" "$file"
sha256sum "$file"
