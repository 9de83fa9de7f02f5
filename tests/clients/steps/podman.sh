# Podman's Docker API: what it does like Docker, also with a Docker client of 20.10. Left out is what Podman 4.3 itself
# does otherwise: exit codes of `run --rm`, health checks (they need systemd), attaching to what cannot start, other
# users than root, and a network's removal by its id, which it allows while containers use it.

mkdir "$work/context"
printf 'FROM busybox:test\nARG WHO=nobody\nCOPY sent /sent\nRUN echo "$WHO" && cat /sent\n' >"$work/context/Dockerfile"
printf 'sent in\n' | tee "$work/context/sent" >"$work/sent"
built() { docker build --no-cache --build-arg WHO=somebody -t swj-built:1 "$work/context" | grep -E '^(somebody|sent in)$'; }
logs_of_main() { docker logs swj-main | grep -x started; }
networks_of() { docker inspect "$1" --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}'; }

step docker version --format '{{.Server.Os}} {{.Server.Arch}}'
step docker image inspect busybox:test --format '{{.Os}} {{.Architecture}}'
step docker run --rm --name swj-rm busybox:test echo hello
step docker run --rm --name swj-rm busybox:test sh -c 'echo to stdout; echo to stderr >&2'
step docker run --rm --name swj-rm -e ONE=1 -w /tmp --hostname box --label purpose=test --memory 64m --cap-drop ALL busybox:test \
  sh -c 'echo $ONE; pwd; hostname'
step docker run -d --name swj-main --label purpose=test busybox:test sh -c 'echo started; exec sleep 600'
step until_true logs_of_main
step docker ps --filter name=swj- --format '{{.Image}} {{.Label "purpose"}}'
step docker inspect swj-main --format '{{.Name}} {{.State.Running}} {{.Config.Labels.purpose}}'
step docker exec -e TWO=2 -w /tmp swj-main sh -c 'echo $TWO; pwd'
ends 5 docker exec swj-main sh -c 'exit 5'
step docker cp "$work/sent" swj-main:/tmp/received
step docker exec swj-main cat /tmp/received
step docker cp swj-main:/tmp/received "$work/back"
step cmp "$work/sent" "$work/back"
step docker pause swj-main
step docker unpause swj-main
step docker rename swj-main swj-renamed
ends 1 docker inspect swj-main
step docker stop -t 1 swj-renamed
step docker start swj-renamed
step docker kill -s KILL swj-renamed
step docker rm -f -v swj-renamed
ends 1 docker rm no-such-swj-container

step docker network create --label purpose=test swj-net
step docker network ls --filter name=swj- --format '{{.Name}} {{.Driver}}'
step docker run -d --name swj-server --network swj-net busybox:test sleep 600
step networks_of swj-server
step docker rm -f swj-server
step docker network rm swj-net
ends 1 docker network inspect swj-net

step docker volume create swj-data --label purpose=test
step docker run --rm --name swj-writer -v swj-data:/data busybox:test sh -c 'echo kept >/data/file'
step docker run --rm --name swj-reader --mount type=volume,source=swj-data,target=/data,readonly busybox:test cat /data/file
step docker volume inspect swj-data --format '{{.Name}} {{.Driver}}'
step docker volume rm swj-data

step built
step docker run --rm --name swj-built swj-built:1 cat /sent
step docker tag swj-built:1 swj-tagged:1
step docker save -o "$work/saved.tar" swj-tagged:1
step docker rmi swj-built:1
step docker rmi swj-tagged:1
step docker load -q -i "$work/saved.tar"
step docker rmi swj-tagged:1
step docker ps -aq --filter name=swj-
