#!/usr/bin/env bash
# For backup.sh and restore.sh, which read this file: the admin pod of a release on Kubernetes.
# It is scaled up if nobody has yet, and down again when the script ends. kubectl's own context decides
# which cluster, and which namespace where none is named.

# admin_pod [NAMESPACE/]RELEASE: wait for it; afterwards in_archive runs commands in it.
admin_pod() {
  kubectl=(kubectl)
  case $1 in */*) kubectl+=(--namespace "${1%%/*}") ;; esac
  selector=app.kubernetes.io/name=bedside,app.kubernetes.io/instance=${1##*/}
  pod=$("${kubectl[@]}" get deployment --output name --selector "$selector,app.kubernetes.io/component=admin")
  [ -n "$pod" ] || { echo "bedside: no release ${1##*/} with an admin pod here - see helm list --all-namespaces" >&2; exit 2; }
  if [ "$("${kubectl[@]}" get "$pod" --output 'jsonpath={.spec.replicas}')" = 0 ]; then
    trap 'end_of_script; "${kubectl[@]}" scale "$pod" --replicas=0 >&2' EXIT
    "${kubectl[@]}" scale "$pod" --replicas=1 >&2
  fi
  "${kubectl[@]}" rollout status "$pod" --timeout=10m >&2 ||
    { echo "bedside: the admin pod did not start - kubectl describe pod says why" >&2; exit 4; }
}

# What the script's own trap does.
end_of_script() { :; }

in_pod() { "${kubectl[@]}" exec --stdin "$pod" -- "$@"; }
