#!/usr/bin/env bash
# Compose, widely: a project that uses most of what a service, network and volume can be given, and every command.
#
#   compose.sh CLI WORKDIR     engine in DOCKER_HOST; how a command ends does not matter
cli=$1 work=$2
cd "$work" || exit 2
export DOCKER_BUILDKIT=0

cat >File <<'DOCKERFILE'
FROM busybox:test AS built
ARG A=none
RUN true
DOCKERFILE
echo content >text
cat >compose.yaml <<'YAML'
name: swr-project
services:
  wide:
    image: busybox:test
    container_name: swr-wide
    command: [sleep, "100"]
    annotations: { purpose: test }
    blkio_config: { weight: 100, device_read_bps: [{ path: /dev/null, rate: 1mb }] }
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    cgroup: private
    configs: [text]
    secrets: [text]
    cpu_shares: 10
    cpuset: "0"
    depends_on: { other: { condition: service_started, required: false } }
    deploy: { resources: { limits: { cpus: "0.5", pids: 50, memory: 64m }, reservations: { memory: 16m } } }
    device_cgroup_rules: ["c 1:3 r"]
    devices: ["/dev/null:/dev/nothing:r"]
    dns: [192.0.2.1]
    dns_opt: ["ndots:1"]
    dns_search: [example.com]
    domainname: example.com
    entrypoint: [sh, -c, "sleep 100", sh]
    environment: { ONE: "1", TWO: }
    expose: ["9000"]
    extra_hosts: ["one:192.0.2.2", "host.docker.internal:host-gateway"]
    group_add: ["27"]
    healthcheck: { test: [CMD, "true"], interval: 1s, timeout: 2s, retries: 3, start_period: 4s }
    hostname: box
    init: true
    ipc: shareable
    labels: { purpose: test }
    logging: { driver: json-file, options: { max-size: 1m } }
    mem_swappiness: 10
    memswap_limit: -1
    networks:
      inside: { aliases: [greeter], ipv4_address: 198.18.3.9, priority: 10 }
      second: { link_local_ips: [169.254.1.1] }
    oom_score_adj: 10
    ports: ["127.0.0.1::8080", { target: 81, published: "8081", protocol: udp, mode: host }]
    privileged: false
    pull_policy: never
    read_only: true
    restart: on-failure:2
    security_opt: ["no-new-privileges:true"]
    shm_size: 32m
    stdin_open: true
    stop_grace_period: 1s
    stop_signal: INT
    sysctls: { net.ipv4.ip_forward: 1 }
    tmpfs: ["/scratch:size=1m"]
    tty: true
    ulimits: { nproc: 65535, nofile: { soft: 100, hard: 200 } }
    user: "0"
    volumes:
      - data:/data:ro
      - .:/project:ro
      - { type: volume, source: data, target: /c, volume: { nocopy: true } }
      - { type: bind, source: ., target: /d, read_only: true, bind: { create_host_path: false, propagation: rprivate } }
      - { type: tmpfs, target: /e, tmpfs: { size: 1048576, mode: 0700 } }
    working_dir: /tmp
  other:
    image: busybox:test
    command: [sleep, "100"]
    network_mode: none
    runtime: runc
    scale: 2
  joins:
    image: busybox:test
    command: [sleep, "100"]
    network_mode: "service:wide"
    pid: "service:wide"
    volumes_from: ["wide:ro"]
  host:
    image: busybox:test
    command: ["true"]
    profiles: [all]
    privileged: true
    network_mode: host
    pid: host
    uts: host
    userns_mode: host
    gpus: all
  built:
    profiles: [all]
    image: swr-compose-built:1
    build: { context: ., dockerfile: File, args: { A: "1" }, labels: { purpose: test }, target: built, network: none, cache_from: ["busybox:test"], extra_hosts: ["a:192.0.2.1"], shm_size: 32m }
  pulled:
    profiles: [all]
    image: 127.0.0.1:1/swr/none:1
networks:
  inside:
    driver: bridge
    internal: true
    attachable: true
    driver_opts: { com.docker.network.driver.mtu: "1400" }
    labels: { purpose: test }
    ipam: { config: [{ subnet: 198.18.3.0/24, gateway: 198.18.3.1, ip_range: 198.18.3.0/25, aux_addresses: { a: 198.18.3.5 } }] }
  second: { enable_ipv6: false, ipam: { config: [{ subnet: 198.18.4.0/24 }] } }
volumes:
  data: { driver: local, labels: { purpose: test }, driver_opts: { type: tmpfs, device: tmpfs, o: size=1m } }
configs: { text: { file: ./text } }
secrets: { text: { file: ./text } }
YAML

c() {
  timeout -k 5 40 "$cli" compose --ansi never "$@" </dev/null >>"$work/out" 2>&1 || echo "ended with $?: compose $*" >>"$work/out"
}

c config -q
c --profile all create
c --profile all build --no-cache --build-arg A=2 --pull built
c --profile all pull pulled
c --profile all push built
c up -d -t 1
# Options that this Compose may not know yet, or this engine, must not keep the rest from being asked.
grep -vE 'gpus|link_local_ips|mem_swappiness|blkio_config|ipc:|runtime:|volumes_from' compose.yaml >compose.2.yaml
c -f compose.2.yaml up -d -t 1 --force-recreate --remove-orphans -V
c ls -a
c ps -a
c images
c top
c stats --no-stream
c port wide 8080
c logs --tail 3 -t --since 5m
c exec -T -e A=1 -u 0 -w /tmp --privileged wide id
c exec -d wide true
c run --rm -T --no-deps --name swr-run -e A=1 -l a=b -v data:/more wide true
c cp text wide:/scratch/text
c cp wide:/etc/passwd passwd
c pause other
c unpause other
c restart -t 0 other
c kill -s TERM other
c start other
c scale other=1
c wait other & sleep 1
c events --json & sleep 1
c attach --no-stdin wide & sleep 1
c commit wide swr-compose-commit:1
c export -o exported other
c volumes
c stop -t 0
c rm -f -v -s other
c down -v --rmi local --remove-orphans -t 0
DOCKER_BUILDKIT=1 c --profile all build built
wait
for image in swr-compose-built:1 swr-compose-commit:1; do timeout 20 "$cli" rmi -f "$image"; done >>"$work/out" 2>&1
