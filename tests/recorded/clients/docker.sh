#!/usr/bin/env bash
# The docker command line, widely: every command and option that does no harm to a shared engine, for what they make the
# client ask. Containers are mostly created only, so that also what is refused later can be asked for here.
#
#   docker.sh CLI WORKDIR     engine in DOCKER_HOST
#
# How a command ends does not matter: the engine's answers are not what is recorded.
cli=$1 work=$2
cd "$work" || exit 2
export DOCKER_BUILDKIT=0

d() {
  timeout -k 5 30 "$cli" "$@" </dev/null >>"$work/out" 2>&1 || echo "ended with $?: docker $*" >>"$work/out"
}

# create OPTION…: a container that never starts
create() {
  d create --name swr-create "$@" busybox:test true
  d rm -f -v swr-create
}

d version
d info
d system df
d system df -v
d events --since 1 --until 2 --filter type=container --filter event=die --filter label=purpose=test
d login -u ci -p 'a secret' 127.0.0.1:1
d search --limit 3 --filter is-official=true 127.0.0.1:1/busybox

create --add-host one:192.0.2.1 --dns 192.0.2.2 --dns-search example.com --dns-option ndots:1 --domainname example.com
create -a stdout -a stderr -i -t --detach-keys ctrl-x --hostname box --workdir /tmp --user 1000:1000 --entrypoint sh
create --env ONE=1 --env TWO= --label purpose=test --label empty --annotation purpose=test
create --blkio-weight 100 --cpu-shares 512 --cpu-period 50000 --cpu-quota 25000 --cpuset-cpus 0 --cpuset-mems 0
create --cpus 0.5 --memory 64m --memory-reservation 32m --memory-swap -1 --memory-swappiness 10 --kernel-memory 32m
create --device-read-bps /dev/null:1mb --device-write-iops /dev/null:100 --blkio-weight-device /dev/null:100
create --pids-limit 100 --oom-kill-disable --oom-score-adj 100 --ulimit nofile=100:200 --ulimit core=0 --shm-size 32m
create --cap-add ALL --cap-drop NET_RAW --privileged --security-opt seccomp=unconfined --security-opt systempaths=unconfined
create --security-opt no-new-privileges:true --security-opt apparmor=unconfined --security-opt label=disable --read-only
create --device /dev/null:/dev/nothing:r --device-cgroup-rule 'c 1:3 r' --group-add 27 --userns host --uts host --cgroup-parent x
create --gpus all
create --pid host --ipc shareable --network host --cgroupns host
create --network none --mac-address 02:42:00:00:00:01 --sysctl net.ipv4.ip_forward=1 --runtime runc --isolation default
create --network bridge --link swr-none:alias --publish 127.0.0.1:0:80 -p 8081-8082:8081-8082/udp -P --expose 9000-9001
create --init --stop-signal INT --stop-timeout 3 --restart on-failure:2 --log-driver json-file --log-opt max-size=1m
create --rm --restart no --health-cmd true --health-interval 1s --health-timeout 2s --health-retries 3 --health-start-period 4s
create --no-healthcheck --storage-opt size=1G --volume-driver local --cidfile "$work/cid" --platform linux/amd64 --pull never
create -v swr-data:/data:ro,z -v /anonymous -v "$work:/project:rw,rslave" --volumes-from swr-none:ro --tmpfs /scratch:size=1m,mode=700
create --mount type=bind,source="$work",target=/a,readonly,bind-propagation=rprivate --mount type=tmpfs,destination=/b,tmpfs-size=1m,tmpfs-mode=1770
create --mount type=volume,source=swr-data,target=/c,volume-nocopy,volume-label=purpose=test,volume-driver=local,volume-opt=type=tmpfs
create --mount type=bind,source="$work",target=/a,bind-nonrecursive --mount type=volume,target=/d
create --mount type=volume,source=swr-data,target=/e,volume-subpath=sub --mount type=image,source=busybox:test,target=/f
create --mount type=bind,source="$work",target=/a,bind-recursive=disabled --health-start-interval 1s
create --device vendor.example/class=one --volume swr-data:/data:nocopy
d create --name swr-create --network name=swr-none,alias=x,ip=192.0.2.9,driver-opt=a=b,mac-address=02:42:00:00:00:02 busybox:test
d run --pull always --name swr-create 127.0.0.1:1/swr/none
d rm -f swr-create

d run -d -i --name swr-main busybox:test sleep 100
d ps -a -s -n 3 --no-trunc --filter name=swr- --filter status=running --filter label=purpose=test --filter ancestor=busybox:test
d ps -l -q --filter health=none --filter network=bridge --filter volume=swr-data --filter publish=80 --filter before=swr-main
d inspect -s swr-main
d inspect swr-none
d logs --details --since 5m --until 1s --tail 3 -t swr-main
d top swr-main -o pid,comm
d port swr-main
d stats --no-stream --all
d stats --no-stream swr-main
d exec -e A=1 -w /tmp -u 1000 --privileged swr-main id
d exec -d swr-main true
d exec -i --detach-keys ctrl-x swr-main cat
d attach --no-stdin swr-main & sleep 1
d update --memory 64m --memory-swap -1 --cpus 0.5 --cpu-shares 100 --pids-limit 50 --restart no --blkio-weight 50 swr-main
d commit -a 'an author' -m 'a message' -c 'CMD ["true"]' -c 'ENV A=b' -p swr-main swr-commit:1
d cp -a "$work/out" swr-main:/tmp/copied
d cp -L swr-main:/etc/passwd "$work/passwd"
d diff swr-main
d pause swr-main
d unpause swr-main
d restart -t 0 swr-main
d rename swr-main swr-renamed
d kill -s USR1 swr-renamed
d stop -t 0 swr-renamed
d wait swr-renamed
d start swr-renamed
d stop -s KILL -t 1 swr-renamed
d export -o "$work/exported" swr-renamed
d rm -f -v -l swr-renamed
d rm -f -v swr-renamed
wait

d images -a --digests --no-trunc --filter dangling=false --filter label=purpose=test --filter before=busybox:test
d images --tree
d image inspect busybox:test
d history --no-trunc busybox:test
d tag busybox:test 127.0.0.1:1/swr/cli:1
d push -a 127.0.0.1:1/swr/cli
d push --platform linux/amd64 127.0.0.1:1/swr/cli:1
d pull -a 127.0.0.1:1/swr/cli
d pull --platform linux/amd64 127.0.0.1:1/swr/cli@sha256:0000000000000000000000000000000000000000000000000000000000000001
d manifest inspect --insecure 127.0.0.1:1/swr/cli:1
d trust inspect 127.0.0.1:1/swr/cli:1
d import -c 'CMD ["true"]' -m 'a message' --platform linux/amd64 "$work/exported" swr-import:1
d import http://127.0.0.1:1/none.tar swr-import:2
d save -o "$work/saved" 127.0.0.1:1/swr/cli:1
d save --platform linux/amd64 -o "$work/saved2" 127.0.0.1:1/swr/cli:1
d load -q -i "$work/saved"
d rmi -f --no-prune 127.0.0.1:1/swr/cli:1 swr-commit:1 swr-import:1

mkdir "$work/context" && printf 'FROM busybox:test\nRUN true\n' >"$work/context/File"
d build -f "$work/context/File" -t swr-built:1 -t swr-built:2 --build-arg A=1 --build-arg HTTP_PROXY --label purpose=test --no-cache \
  --pull=false --rm=false --force-rm --network none --add-host one:192.0.2.1 --shm-size 32m --ulimit nofile=100 --memory 64m \
  --memory-swap -1 --cpu-shares 10 --cpu-period 50000 --cpu-quota 25000 --cpuset-cpus 0 --cgroup-parent x --isolation default \
  --cache-from busybox:test --target none --security-opt seccomp=unconfined --iidfile "$work/iid" "$work/context"
d build --squash --compress -t swr-built:3 "$work/context"
d build --platform linux/amd64 -f File "$work/context"
d build http://127.0.0.1:1/context.tar
d rmi swr-built:1
DOCKER_BUILDKIT=1 d build -f "$work/context/File" -t swr-built:4 "$work/context"
d buildx ls
d buildx du
d rmi swr-built:4
d builder prune -f --filter until=200000h

d network create --driver bridge --attachable --internal --subnet 198.18.0.0/24 --ip-range 198.18.0.0/25 --gateway 198.18.0.1 \
  --aux-address host=198.18.0.5 --label purpose=test --opt com.docker.network.driver.mtu=1400 --ipam-driver default --scope local swr-net
d network create --ipv6 --subnet fd00:5::/64 --ipam-opt a=b swr-net6
d network create --ipv4=false --ipv6 swr-net6only
d network create --config-only swr-config
d network create --config-from swr-config swr-from
d network ls --filter driver=bridge --filter name=swr- --filter type=custom --filter scope=local --no-trunc
d network inspect -v swr-net
d create --name swr-joins busybox:test true
d network connect --alias a --ip 198.18.0.9 --link swr-none:b --link-local-ip 169.254.1.1 --driver-opt a=b swr-net swr-joins
d network connect --gw-priority 5 --ip6 fd00:5::9 swr-net6 swr-joins
d network disconnect -f swr-net swr-joins
d rm -f swr-joins
d network rm swr-net swr-net6 swr-net6only swr-from swr-config

d volume create --driver local --label purpose=test --opt type=tmpfs --opt device=tmpfs --opt o=size=1m swr-volume
d volume create
d volume create --type block --group g --scope single --sharing all --limit-bytes 1m swr-cluster
d volume ls --filter dangling=true --filter driver=local --filter name=swr-
d volume inspect swr-volume
d volume rm -f swr-volume swr-data
for kind in container image volume network; do d "$kind" prune -f --filter label=swr-nothing-has-this; done
d volume prune -a -f --filter label=swr-nothing-has-this
d image prune -a -f --filter label=swr-nothing-has-this --filter until=24h

# What is closed, only looked at
d swarm ca
d node ls
d service ls
d service ps swr-none
d secret ls
d config ls
d stack ls
d plugin ls
d checkpoint ls swr-none
d --config "$work" context ls
