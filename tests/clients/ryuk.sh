#!/bin/sh
# Testcontainers' reaper, as a stand-in of few lines that asks the engine exactly what Ryuk 0.14 asks: a client sends a
# line of filters and holds the connection; once it is gone for RYUK_RECONNECTION_TIMEOUT, what the filters match goes.
# Image of tests/clients/testcontainers: busybox, curl, and this as the command.
set -u
filters=/filters
wait=${RYUK_RECONNECTION_TIMEOUT:-10s} wait=${wait%s}

engine() { curl -s -X "$1" --unix-socket /var/run/docker.sock "http://docker$2"; }
encoded() { sed 's/%/%25/g; s/{/%7B/g; s/}/%7D/g; s/"/%22/g; s/:/%3A/g; s/,/%2C/g; s/=/%3D/g'; }
# `label=a=b&label=c` to `{"label":{"a=b":true,"c":true}}`
json() { tr -d '\r' | tr '&' '\n' | sed -n 's/^label=\(.*\)/"\1":true/p' | paste -sd, | sed 's/.*/{"label":{&}}/'; }
values() { grep -o "\"$1\":\"[^\"]*\"" | cut -d'"' -f4 | sort -u; }

session() {
  while read -r line; do
    echo "$line" >>"$filters"
    echo ACK
  done
}

prune() {
  while read -r line; do
    matching=$(echo "$line" | json | encoded)
    for id in $(engine GET "/containers/json?all=1&filters=$matching" | values Id); do
      [ "${id#"$(hostname)"}" != "$id" ] || engine DELETE "/containers/$id?force=1&v=1"
    done
    for id in $(engine GET "/networks?filters=$matching" | values Id); do engine DELETE "/networks/$id"; done
    for name in $(engine GET "/volumes?filters=$matching" | values Name); do engine DELETE "/volumes/$name?force=1"; done
    for id in $(engine GET "/images/json?filters=$matching" | values Id); do engine DELETE "/images/$id?force=1"; done
  done <"$filters"
}

if [ "${1-}" = session ]; then session; exit; fi
engine GET /_ping >/dev/null || { echo "no engine at /var/run/docker.sock"; exit 1; }
echo "Started!"
# One connection after the other: a session has one. The listener ends when none comes in time.
nc -l -p 8080 -w 600 -e /ryuk.sh session
while nc -l -p 8080 -w "$wait" -e /ryuk.sh session; do :; done
prune
