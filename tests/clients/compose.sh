#!/usr/bin/env bash
# What a CI job does with Compose, as a transcript that is the same wherever it runs (see job.sh): a
# built image, a dependency that must be healthy first, a network, a volume, one-off commands.
#
#   tests/clients/compose.sh SOCKET CLI REGISTRY WORKDIR     WORKDIR must not exist
set -uo pipefail
export LC_ALL=C

[[ $# == 4 ]] || { echo "usage: compose.sh SOCKET CLI REGISTRY WORKDIR" >&2; exit 2; }
socket=$1 cli=$2 registry=$3 work=$4
here=$(dirname "$(readlink -f "$0")")

# The builder that speaks gRPC over /grpc and /session is not what this job is about.
export DOCKER_HOST=unix://$socket DOCKER_BUILDKIT=0
unset DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
unset COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_PROFILES

source "$here/transcript.sh"

# Compose works on several things at once and reports each as it is done.
compose() { sorted docker compose --ansi never --project-name swj-project --project-directory "$work/project" "$@"; }
# Without health checks and who answers them, which are there at some moments only.
processes() { compose top server | sed -n 's/.* [0-9][0-9]:[0-9][0-9]:[0-9][0-9] *\(.*httpd\)/\1/p' | sort -u; }
# What is up has begun, and may not have come to its end.
all_said() { compose logs once | grep -q complaining && compose logs client | grep -q hello; }
page() { compose run --rm --name swj-page client; }

job() {
  part compose
  step compose config --services
  step docker pull -q "$registry/swj/base:1"
  step compose build
  step compose up -d
  step compose ps server --format '{{.Service}} {{.State}} {{.Health}}'
  step compose ps -a --services
  step until_true all_said
  step compose logs --no-log-prefix server
  step compose logs --tail 1 server
  step compose logs
  step compose up --no-deps --exit-code-from once once
  step compose exec -T server cat /proc/sys/kernel/hostname
  ends 6 compose exec -T server sh -c 'exit 6'
  step compose exec -T -e WORD=given server sh -c 'echo $WORD; cat' <<<'through standard input'
  step page
  step compose run --rm --name swj-volume -T client ls /data
  step processes
  step compose port server 8080
  step compose images server
  step compose cp "$work/project/Dockerfile" server:/tmp/copied
  step compose pause server
  step compose unpause server
  step compose restart -t 1 server
  step compose kill server
  step compose up -d --wait server
  step compose up -d --scale client=2 --no-recreate
  step compose stop -t 1
  step compose rm -f client once
  step compose down -v --rmi local -t 1
  step compose ps -a -q
  step docker volume ls -q --filter name=swj-
  step docker network ls -q --filter name=swj-
  step docker rmi "$registry/swj/base:1"
  finish
}

project() {
  mkdir "$work" && mkdir "$work/project" || return
  cat >"$work/project/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
ARG GREETING=none
RUN mkdir /www && echo "$GREETING" >/www/index.html
CMD ["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 8080 -h /www & echo serving; wait"]
DOCKERFILE
  cat >"$work/project/compose.yaml" <<YAML
services:
  server:
    build:
      context: .
      args: { GREETING: hello from a built image }
    image: swj-compose:1
    hostname: box
    environment: [ONE=1]
    labels: { purpose: test }
    ports: ["127.0.0.1::8080"]
    healthcheck: { test: [CMD, wget, -qO-, "http://127.0.0.1:8080/"], interval: 1s, retries: 120 }
    volumes: ["data:/data"]
    networks: { inside: { aliases: [greeter] } }
    mem_limit: 64m
  once:
    image: $registry/swj/base:1
    command: [sh, -c, "echo only once; echo and complaining >&2"]
    networks: [inside]
  client:
    image: busybox:test
    depends_on: { server: { condition: service_healthy } }
    # Engines that change their networks at the same time hold packets up.
    command: [sh, -c, "for i in \$\$(seq 60); do wget -qO- http://greeter:8080/ 2>/dev/null && exit; sleep 1; done; exit 1"]
    volumes: ["data:/data:ro"]
    networks: [inside]
networks:
  inside: { internal: false }
volumes:
  data: {}
YAML
}

# An image to pull; it is put there by the job's own docker, as its own step of preparation.
prepare() {
  docker tag busybox:test "$registry/swj/base:1" && docker push -q "$registry/swj/base:1" &&
    docker rmi "$registry/swj/base:1"
}

project || exit 2
prepare >"$work/prepare" 2>&1 </dev/null || { cat "$work/prepare"; exit 1; }
job </dev/null | normalised
