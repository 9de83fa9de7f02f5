# Sourced by the steps that build with BuildKit: the client that can, and what is asked of it in several places.

# A client's own records of its builders and builds are this job's.
export DOCKER_BUILDKIT=1 BUILDX_CONFIG=$work/buildx BUILDKIT_PROGRESS=plain
older_cli=$cli cli=${buildx_cli:?}
nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
server=$(docker version --format '{{.Server.Version}}')

# newer MAJOR: whether the engine is of that generation or a later one
newer() { ((${server%%.*} >= $1)); }

# Which of two calls a failure is told of first is chance, and buildx names it by that.
told() { python3 "$here/progress.py" "$@" | sed -e "s/$nonce/NONCE/g" -e 's/failed to run Build function:/failed to solve:/'; }

# built ARGUMENT…: a build as a person sees it
built() {
  local code=0
  docker buildx build --progress plain "$@" >"$work/built.out" 2>"$work/built.err" || code=$?
  sed "s/$nonce/NONCE/g" "$work/built.out"
  if ((code)); then told failed; else told; fi <"$work/built.err" >&2
  return $code
}

silent() { "$@" >/dev/null; }

sum_of() { cat "$@" | sha256sum; }

# many_files DIRECTORY COUNT: in directories of a hundred
many_files() {
  python3 - "$@" <<'PYTHON'
import os, sys

for number in range(int(sys.argv[2])):
    directory = f"{sys.argv[1]}/{number // 100}"
    os.makedirs(directory, exist_ok=True)
    with open(f"{directory}/{number % 100}", "w") as file:
        file.write(f"{number}\n" * (number % 50))
PYTHON
}

quiet() {
  local id
  id=$(docker build -q --target small "$context") && echo "$id" | grep -cE '^sha256:[0-9a-f]{64}$' &&
    docker run --rm --name swj-quiet "$id"
}

same_id() {
  built --target small -t swj-kit:5 --iidfile "$work/id" "$context" >/dev/null 2>&1 || return
  [[ $(cat "$work/id") == "$(docker image inspect swj-kit:5 --format '{{.Id}}')" ]] && docker rmi swj-kit:5
}

metadata() {
  built --target small -t swj-kit:5 --metadata-file "$work/metadata" "$context" >/dev/null 2>&1 || return
  python3 - "$work/metadata" <<'PYTHON' && docker rmi swj-kit:5
import json, sys

found = json.load(open(sys.argv[1]))
for key, value in sorted(found.items()):
    if isinstance(value, dict):
        value = sorted(value)
    elif key == "buildx.build.ref":
        value = value.rsplit("/", 1)[0] + "/REF"
    print(key, value)
PYTHON
}

keeps_no_secret() {
  docker save swj-secret:1 | grep -c "a secret of $nonce"
  docker history --no-trunc swj-secret:1 | grep -c "a secret of"
  true
}

# with_agent COMMAND…: with a key in an agent that ends with it
with_agent() {
  local code=0
  "$here/../packages" openssh-client || return
  rm -f "$work/key"
  ssh-keygen -q -t ed25519 -N '' -C a-key-of-the-test -f "$work/key" || return
  eval "$(ssh-agent -s)" >/dev/null
  ssh-add -q "$work/key" 2>/dev/null && "$@" || code=$?
  ssh-agent -k >/dev/null
  return $code
}

# The distribution's own ssh-add with all that it loads, as there is none in the image.
ssh_keys() {
  local ssh=$work/ssh
  mkdir "$ssh" && cp "$(command -v ssh-add)" "$ssh/" &&
    ldd "$(command -v ssh-add)" | grep -o '/[^ ]*' | xargs -I{} cp -L {} "$ssh/" && echo "$nonce" >"$ssh/nonce" || return
  cat >"$ssh/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
COPY . /ssh
RUN --mount=type=ssh /ssh/ld-linux* --library-path /ssh /ssh/ssh-add -L | cut -d' ' -f1,3
RUN --mount=type=ssh,id=other /ssh/ld-linux* --library-path /ssh /ssh/ssh-add -L | wc -l
RUN /ssh/ld-linux* --library-path /ssh /ssh/ssh-add -L 2>&1; echo "${SSH_AUTH_SOCK:-no agent}"
DOCKERFILE
  built --ssh default --ssh "other=$SSH_AUTH_SOCK" "$ssh"
}

# A cache is there for the next build of the same job, a bind is no layer, memory is none.
mounts() {
  sed "s/NONCE/$nonce/g" >"$work/other/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
ARG ROUND
RUN --mount=type=cache,id=swj-NONCE,target=/cache : NONCE; ls /cache; echo "$ROUND" >>/cache/rounds; cat /cache/rounds
RUN --mount=type=cache,target=/cache,id=swj-NONCE,sharing=locked,ro cat /cache/rounds
RUN --mount=type=bind,target=/bound (ls /bound && ! touch /bound/more) 2>&1
RUN --mount=type=tmpfs,target=/memory touch /memory/file && ls /memory && df /memory | tail -n 1 | cut -d' ' -f1
RUN ls -A /cache /bound /memory 2>&1; true
DOCKERFILE
  built --build-arg ROUND=1 "$work/other" && built --build-arg ROUND=2 "$work/other"
}

heredoc() {
  sed "s/NONCE/$nonce/" >"$work/other/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
COPY nonce /nonce
COPY --link --chmod=600 <<FILE /written
a line with NONCE
FILE
RUN <<RUN
cat /written
ls -l /written | cut -c1-10
RUN
DOCKERFILE
  built "$work/other"
}

files_out() {
  find "$work/files" | sort && readlink "$work/files/out/link" && cat "$work/files/out/file" && tar -tf "$work/files.tar" | sort
}

docker_build_to_stdout() { docker build -q -o - "$work/other" 2>/dev/null | tar -t | sort; }

# Pushed, pulled, built upon; and a cache that travels with the image. `ci` takes caches from nobody: they are left out, and
# all else is as if they had not been there.
registry_round() {
  local image=$registry/swj/kit
  printf 'FROM busybox:test\nCOPY nonce /\nRUN echo layer >/layer\n' >"$work/other/Dockerfile"
  built -t "$image:1" --push --cache-to type=inline "$work/other" || return
  docker rmi "$image:1" >/dev/null
  docker pull -q "$image:1" && docker run --rm --name swj-kit "$image:1" cat /layer || return
  docker rmi "$image:1" >/dev/null
  uncached -t "$image:2" --cache-from "$image:1" "$work/other" && docker push -q "$image:2" && docker rmi "$image:2" >/dev/null || return
  # The oldest engine looks up only what has a stage before it builds, and what it would look up later is refused.
  if newer 23; then
    printf 'FROM %s:2\nCOPY --from=%s:1 /layer /again\nRUN cat /again\n' "$image" "$image"
  else
    printf 'FROM %s:1 AS one\nFROM %s:2\nCOPY --from=one /layer /again\nRUN cat /again\n' "$image" "$image"
  fi >"$work/other/Dockerfile"
  built --pull "$work/other" || return
  uncached --cache-from "type=registry,ref=$image:absent" "$work/other"
}

uncached() {
  local code=0
  built "$@" 2>"$work/uncached" || code=$?
  sed -n '/^building with/q; /^importing cache/,/^  \(DONE\|ERROR\)/!p' "$work/uncached" >&2
  return $code
}

ended_by() {
  printf 'FROM busybox:test\nCOPY nonce /\nRUN : %s-%s; sleep 1000; true\n' "$nonce" "$1" >"$work/other/Dockerfile"
  python3 "$here/interrupt.py" "$1" "$nonce-$1" "$cli" buildx build --progress plain "$work/other"
}
