# What a build asks and does not get: one clean line for each, and what is said to be ignored is ignored.
source "$here/buildkit.sh"

# says TEXT COMMAND…: refused in one line that holds the text
says() {
  local text=$1 code=0
  shift
  "$@" >"$work/said" 2>&1 || code=$?
  grep -F 'sockwarden:' "$work/said" | grep -v '^#' | sort -u >"$work/lines"
  if [[ $code == 0 || $(grep -c '' "$work/lines") != 1 ]] || ! grep -qF "$text" "$work/lines"; then
    echo "ended with $code, should have said in one line: $text"
    sed 's/^/    /' "$work/said"
    return 1
  fi
  cat "$work/lines"
}

mkdir "$work/context"
echo "$nonce" >"$work/context/nonce"
dockerfile() { printf '%s\n' "$@" >"$work/context/Dockerfile"; }

dockerfile '# syntax=docker/dockerfile:1' 'FROM busybox:test' 'COPY nonce /' 'RUN echo built all the same'
step built -t swj-refused:1 "$work/context"
step docker rmi swj-refused:1
step says BUILDKIT_SYNTAX docker buildx build --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1 "$work/context"
dockerfile 'FROM busybox:test' 'COPY nonce /' 'RUN true'
step says host docker buildx build --network host "$work/context"
step says security.insecure docker buildx build --allow security.insecure "$work/context"
dockerfile 'FROM busybox:test' 'ADD http://127.0.0.1:1/file /'
step says 127.0.0.1 docker buildx build "$work/context"
step says 127.0.0.1 docker buildx build http://127.0.0.1:1/context.tar
step docker tag busybox:test swj-buildkit:1
step says privileged docker buildx create --name swj-container --driver docker-container --driver-opt image=swj-buildkit:1 --bootstrap
step docker rmi swj-buildkit:1

# The oldest client's BuildKit comes by POST /build, where what a Dockerfile asks for cannot be judged.
build_by_post() { DOCKER_BUILDKIT=1 timeout "$limit" "$older_cli" build "$work/context"; }
dockerfile 'FROM busybox:test' 'COPY nonce /' 'RUN true'
if ! newer 23; then step says version=2 build_by_post; fi

# One's own builds are listed, and what was removed is not; with nothing in between a list is what some engines die of.
if newer 28; then
  step built --metadata-file "$work/metadata" "$work/context"
  ref=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["buildx.build.ref"].rsplit("/")[-1])' "$work/metadata")
  listed() { docker buildx history ls --format '{{.Ref}} {{.Name}} {{.Status}}' >"$work/listed" && grep "^$ref " "$work/listed" | sed "s/$ref/REF/"; }
  step listed
  removed() { docker buildx history rm "$ref"; }
  step removed
  ends 1 listed
fi
