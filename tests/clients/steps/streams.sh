# Streams: what takes over the connection, flows both ways, is closed on one side first, or never ends
# by itself. Content is compared byte for byte.

big=$work/big
python3 "$here/data.py" 50 >"$big"
data_sum=$(sha256sum <"$big")

exec_in() { docker exec -i swj-stream sha256sum <"$big" | grep -x "$data_sum"; }
exec_out() { docker exec swj-stream seq 7000000 | cmp - <(seq 7000000); }
exec_both_ways() { docker exec -i swj-stream cat <"$big" | cmp - "$big"; }
run_both_ways() { docker run --rm -i --name swj-pipe busybox:test cat <"$big" | cmp - "$big"; }
copy_both_ways() { docker cp "$big" swj-stream:/copied && docker cp swj-stream:/copied - | tar -xO | cmp - "$big"; }
summed() { "$@" 2>"$work/summed" | sha256sum && sha256sum <"$work/summed" >&2; }
all_logged() { docker logs --tail 1 swj-logs | grep -x 500000; }
fed() { printf '%b' "$1" | "${@:2}"; }
typed() { python3 "$here/terminal.py" "$@"; }

# Ten at once, each with its own content: nobody may get another one's bytes.
exec_at_once() {
  local n jobs=()
  for n in {0..9}; do
    { seq "${n}00000" "${n}99999" | docker exec -i swj-stream cat | cmp - <(seq "${n}00000" "${n}99999"); } &
    jobs+=($!)
  done
  for n in "${jobs[@]}"; do wait "$n" || return; done
}

# A client that leaves in the middle of a stream, as a cancelled job does.
leave() {
  local client code=0
  rm -f "$work/left"
  "$cli" "$@" >"$work/left" &
  client=$!
  until_true test -s "$work/left"
  # The shell reports who was killed, with a process id.
  { kill -KILL "$client"; wait "$client" || code=$?; } 2>/dev/null
  [[ $code == 137 && -s $work/left ]]
}

follow_events() {
  local since client
  since=$(date +%s.%N)
  rm -f "$work/events"
  # Not the function: it would be a shell in between, and the signal below would end only that.
  timeout "$limit" "$cli" events --since "$since" "${events[@]}" >"$work/events" &
  client=$!
  docker run --rm --name swj-events busybox:test true
  until_true grep -q destroy "$work/events"
  kill "$client"
  wait "$client"
  sort "$work/events"
}
events=(--filter container=swj-events --filter type=container --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}')
past_events() { docker events --since "$began" --until "$(date +%s.%N)" "${events[@]}" | sort; }
# With an end that is still to come; a busy machine needs more time until then.
coming_events() {
  local seconds until
  for seconds in 6 30 120; do
    until=$(date -d "$seconds seconds" +%s)
    docker events --since "$(date +%s.%N)" --until "$until" "${events[@]}" >"$work/events" &
    docker run --rm --name swj-events busybox:test true
    (($(date +%s) < until)) || continue
    wait $!
    sort "$work/events"
    return
  done
  return 1
}
began=$(date +%s.%N)

step docker run -d --name swj-stream busybox:test sleep 600
step exec_in
step exec_out
step exec_both_ways
step run_both_ways
step copy_both_ways
step exec_at_once
step fed 'one\ntwo\n' docker exec -i swj-stream sh -c 'read line; echo "got $line"; cat; echo after the end'
ends 4 fed 'one\n' docker exec -i swj-stream sh -c 'cat >&2; exit 4'
step docker exec swj-stream sh -c 'sleep 4; echo still there after silence'
step fed 'unread' docker exec -i swj-stream true
ends 143 docker exec swj-stream sh -c 'kill -TERM $$'
step summed docker exec swj-stream sh -c 'seq 300000; seq 300000 >&2'

step fed 'b\na\n' docker run --rm -i --name swj-sort busybox:test sort
step docker create -i --name swj-sort busybox:test sort
step docker start swj-sort
step fed 'd\nc\n' docker attach swj-sort
step fed 'f\ne\n' docker start -a -i swj-sort
step docker logs swj-sort
step docker rm swj-sort

step docker run -d --name swj-logs busybox:test sh -c 'for i in $(seq 30); do echo "line $i"; echo "error $i" >&2; sleep 0.1; done'
step docker logs -f swj-logs
step docker rm swj-logs
# Followed only once it is all written: Docker 20.10 itself loses lines when it follows a fast writer.
step docker run -d --name swj-logs busybox:test sh -c 'seq 500000; sleep 4; exit 9'
step until_true all_logged
step summed docker logs -f swj-logs
step docker wait swj-logs
step docker rm swj-logs
step docker run -d --name swj-logs busybox:test sh -c 'while :; do echo again; sleep 0.1; done'
step leave logs -f swj-logs
step leave attach --sig-proxy=false swj-logs
step leave exec swj-logs sh -c 'while :; do echo again; sleep 0.1; done'
step docker rm -f swj-logs

# The window size is set once the process runs, so it is waited for.
session='until stty size 2>/dev/null | grep -v "^0 0"; do sleep 0.1; done; printf "ready>"; read x; echo "got $x"; exit 7'
ends 7 typed 'ready>' 'an answer\n' -- "$cli" run --rm -it --name swj-tty busybox:test sh -c "$session"
ends 7 typed 'ready>' 'an answer\n' -- "$cli" exec -it swj-stream sh -c "$session"
ends 130 typed 'ready>' '\x03' -- "$cli" run --rm -it --name swj-tty busybox:test sh -c "$session"
step typed 'ready>' '\x10\x11' -- "$cli" run -it --name swj-tty busybox:test sh -c "$session"
ends 7 typed '' 'once more\n' -- "$cli" attach swj-tty
step docker logs swj-tty
step docker rm swj-tty

step follow_events
step past_events
step coming_events
step docker rm -f swj-stream
step docker ps -aq --filter name=swj-
