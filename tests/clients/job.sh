#!/usr/bin/env bash
# What a CI job does with docker, step by step, as a transcript that is the same wherever it runs.
# Run against the bare engine and through sockwarden, the two must not differ in one character.
#
#   tests/clients/job.sh SOCKET CLI REGISTRY WORKDIR [PART…]     parts: the files in steps/; WORKDIR must not exist
#
# BUILDX_CLI   the docker that builds with BuildKit, where CLI is older than that
set -uo pipefail
export LC_ALL=C

[[ $# -ge 4 ]] || { echo "usage: job.sh SOCKET CLI REGISTRY WORKDIR [PART…]" >&2; exit 2; }
socket=$1 cli=$2 registry=$3 work=$4
shift 4
here=$(dirname "$(readlink -f "$0")")
parts=("$@")
[[ ${#parts[@]} -gt 0 ]] || parts=(images containers streams build networks)

# The builder that speaks gRPC over /grpc and /session has steps of its own.
export DOCKER_HOST=unix://$socket DOCKER_BUILDKIT=0
unset DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION

buildx_cli=${BUILDX_CLI:-$cli}

source "$here/transcript.sh"

job() {
  local name
  for name in "${parts[@]}"; do
    part "$name"
    source "$here/steps/$name.sh" || return
  done
  finish
}

mkdir "$work" || exit 2    # what a run before left would change what this one sees
job </dev/null | normalised
