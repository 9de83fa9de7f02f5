# Networks and volumes: made, joined, shared, left and removed.

# Which address a container gets is the engine's choice, whether it has one is not.
networks_of() {
  docker inspect "$1" --format '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}'
}

step docker network create swj-net --label purpose=test
step docker network create --driver bridge --internal swj-inside
ends 1 docker network create swj-net
step docker network ls --filter name=swj- --format '{{.Name}} {{.Driver}} {{.Scope}}'
step docker network inspect swj-net swj-inside --format '{{.Name}} {{.Driver}} {{.Internal}} {{.Attachable}} {{index .Labels "purpose"}}'

step docker run -d --name swj-server --network swj-net --network-alias server --hostname box busybox:test \
  sh -c 'mkdir /www; echo hello from the server >/www/index.html; exec httpd -f -p 8080 -h /www'
step docker run --rm --name swj-client --network swj-net busybox:test \
  sh -c 'for i in $(seq 60); do wget -qO- http://server:8080/ 2>/dev/null && exit; sleep 1; done; exit 1'
step networks_of swj-server
step docker network connect --alias inner swj-inside swj-server
step networks_of swj-server
step docker run --rm --name swj-client --network swj-inside busybox:test \
  sh -c 'for i in $(seq 60); do wget -qO- http://inner:8080/ 2>/dev/null && exit; sleep 1; done; exit 1'
ends 1 docker network rm swj-net
step docker network disconnect swj-inside swj-server
step networks_of swj-server
ends 1 docker network disconnect swj-inside swj-server
step docker network connect swj-inside swj-server
step docker network disconnect --force swj-inside swj-server
step docker run --rm --name swj-client --network none busybox:test ls /sys/class/net

step docker volume create swj-data --label purpose=test
step docker volume create swj-data
step docker volume ls --filter name=swj- --format '{{.Name}} {{.Driver}}'
step docker volume inspect swj-data --format '{{.Name}} {{.Driver}} {{index .Labels "purpose"}} {{.Options}} {{.Scope}}'
step docker run --rm --name swj-writer -v swj-data:/data busybox:test sh -c 'echo kept >/data/file'
step docker run --rm --name swj-reader --mount type=volume,source=swj-data,target=/data,readonly busybox:test cat /data/file
ends 1 docker run --rm --name swj-reader -v swj-data:/data:ro busybox:test touch /data/refused
step docker run -d --name swj-holder -v swj-data:/data busybox:test sleep 600
ends 1 docker volume rm swj-data
step docker rm -f swj-holder swj-server
step docker volume rm swj-data
step docker network rm swj-net swj-inside
ends 1 docker network inspect swj-net
ends 1 docker volume inspect swj-data
