# Containers: started in every way a job starts them, watched, changed, stopped, copied to and from.

# Without what is there at some moments only: children of the main process, health checks, and what becomes one of these.
main_process() { docker top swj-main "$@" | awk '$NF ~ /^(CMD|COMMAND|done|sh)$/ && !told[$NF]++ {print $NF}'; }

says_started() { docker logs swj-main | grep started; }
was_told() { docker logs swj-main | grep told; }
listens_again() { [[ $(docker logs swj-main | grep -c started) == 2 ]]; }
is_healthy() { docker inspect swj-main --format '{{.State.Health.Status}}' | grep -x healthy; }
names_copied() { docker cp swj-renamed:/tmp/tree - | tar -t; }
copied_while_running() { docker cp swj-renamed:/tmp/while-running - | tar -xO; }
names_exported() { docker export swj-renamed | tar -t | grep -E '^tmp/(sent|received|tree)' | sort; }

fetch_published() {
  local address
  address=$(docker port swj-web 8080) && echo "$address" &&
    until_true curl -fsS "http://$address/" && cat "$work/until.log"
}

step docker run --rm --name swj-rm busybox:test echo hello
step docker run --rm --name swj-rm busybox:test sh -c 'echo to stdout; echo to stderr >&2'
ends 3 docker run --rm --name swj-rm busybox:test sh -c 'exit 3'
ends 127 docker run --rm --name swj-rm busybox:test no-such-command
ends 125 docker run --rm --name swj-rm --pull never no-such-image:none true
step docker run --rm --name swj-rm -e ONE=1 -e 'TWO=two words' -w /tmp -u 1000:1000 --hostname box \
  --label purpose=test --entrypoint sh busybox:test -c 'echo $ONE; echo $TWO; pwd; hostname'
step docker run --rm --name swj-rm --read-only --tmpfs /scratch --cap-drop ALL --security-opt no-new-privileges \
  busybox:test sh -c 'touch /scratch/ok && ls /scratch; touch /refused; true'
step docker run --rm --name swj-rm --init --memory 64m --cpus 1 --ulimit nofile=100:100 --stop-signal INT \
  busybox:test sh -c 'ulimit -n'
step docker run --rm --name swj-rm --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 --oom-score-adj 100 \
  busybox:test cat /proc/self/oom_score_adj

step docker run -d --name swj-main --label purpose=test --health-cmd 'test -e /tmp' --health-interval 1s busybox:test \
  sh -c 'trap "echo stopping; exit 0" TERM; trap "echo told >/told; echo told" USR1; echo started; while :; do sleep 0.1; done'
ends 125 docker run -d --name swj-main busybox:test true
step until_true says_started
# Of the labels only the job's own: what is made through sockwarden also bears its owner's name.
step docker ps --filter name=swj- --format '{{.Names}} {{.Image}} {{.State}} {{.Label "purpose"}}'
step docker ps -a --no-trunc --filter label=purpose=test --filter name=swj-main --format '{{.Names}} {{.Command}}'
step docker inspect swj-main --format '{{.Name}} {{.Path}} {{.Args}} {{.State.Running}} {{.Config.Image}} {{.Config.Labels.purpose}} {{.Config.Healthcheck.Test}}'
step docker logs swj-main
step docker logs -t --tail 1 --since 10m swj-main
step main_process
step main_process -eo pid,comm
step docker stats --no-stream --format '{{.Name}}' swj-main
step until_true is_healthy
step docker exec swj-main hostname
step docker exec -e THREE=3 -w /tmp -u 1000 swj-main sh -c 'echo $THREE; pwd; id -u'
ends 5 docker exec swj-main sh -c 'exit 5'
step docker exec -d swj-main sh -c 'kill -USR1 1'
step until_true was_told
step docker pause swj-main
ends 1 docker exec swj-main true
step docker unpause swj-main
step docker restart -t 60 swj-main
step until_true listens_again
step docker rename swj-main swj-renamed
ends 1 docker inspect swj-main --format '{{.Name}}'
ends 1 docker rm swj-renamed
step docker stop -t 60 swj-renamed
step docker inspect swj-renamed --format '{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}'
step docker start swj-renamed
step docker kill -s KILL swj-renamed
step docker wait swj-renamed
ends 1 docker kill swj-renamed
step docker diff swj-renamed

printf 'sent in\n' >"$work/sent"
mkdir -p "$work/tree/sub"
printf 'in a tree\n' >"$work/tree/sub/file"
step docker cp "$work/sent" swj-renamed:/tmp/received
step docker cp "$work/tree" swj-renamed:/tmp/tree
step docker cp - swj-renamed:/tmp < <(tar -C "$work" -c --mtime=@0 sent)
step docker cp swj-renamed:/tmp/received "$work/back"
step cmp "$work/sent" "$work/back"
step docker cp swj-renamed:/tmp/tree "$work/tree-back"
step diff -r "$work/tree" "$work/tree-back"
step names_copied
step names_exported
ends 1 docker cp swj-renamed:/no/such/file "$work/back"
step docker start swj-renamed
step docker cp "$work/sent" swj-renamed:/tmp/while-running
step copied_while_running
step docker rm -f -v swj-renamed
ends 1 docker rm no-such-swj-container

step docker create --name swj-web -p 127.0.0.1::8080 busybox:test httpd -f -p 8080 -h /etc
step docker cp "$work/sent" swj-web:/etc/index.html
step docker start swj-web
step fetch_published
step docker rm -f swj-web
step docker ps -aq --filter name=swj-
