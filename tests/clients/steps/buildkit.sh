# BuildKit: what `docker build` does since Docker 23, over /grpc and /session. Every build takes a word in that no build before
# it had, and so does what it copies and writes down, which caches know by its contents: what is CACHED comes of this run alone.
source "$here/buildkit.sh"

context=$work/context
mkdir -p "$context/data" "$context/left-out" "$work/other"
python3 "$here/data.py" "${SOCKWARDEN_CONTEXT_MIB:-32}" >"$context/data/large"
many_files "$context/many" "${SOCKWARDEN_CONTEXT_FILES:-2000}"
echo "$nonce" | tee "$context/nonce" >"$work/other/nonce"
touch "$context/left-out/file" "$context/sent" "$context/dropped.log"
printf 'left-out\n*.log\n' >"$context/.dockerignore"
cat >"$context/Dockerfile" <<'DOCKERFILE'
FROM busybox:test AS base
ARG WHO=nobody
ENV PLACE=here
LABEL purpose=test
COPY nonce /
WORKDIR /context
COPY . .
RUN sha256sum data/large && find . -type f | wc -l && find many -type f | sort | xargs cat | sha256sum && echo "$WHO is $PLACE"

FROM base AS beside
RUN ls -a /context
RUN echo beside >&2

FROM busybox:test AS small
COPY --from=base /context/Dockerfile* /context/nonce /etc/passwd /small/
CMD ["ls", "/small"]
DOCKERFILE

# The context arrives whole, arguments, targets, the cache; the image runs.
step built --build-arg WHO=somebody -t swj-kit:1 "$context"
step built --build-arg WHO=somebody -t swj-kit:2 -t swj-kit:3 "$context"
step built --build-arg WHO=somebody --target beside --label more=1 -t swj-beside:1 "$context"
step built --no-cache --target small -t swj-kit:4 "$context"
step sum_of "$context/data/large"
step docker run --rm --name swj-kit swj-kit:1
step docker run --rm --name swj-kit swj-beside:1 sh -c 'find /context -type f | wc -l; cat /context/many/*/1 | sha256sum'
step docker image inspect swj-beside:1 --format '{{.Config.Env}} {{.Config.Labels}} {{.Config.WorkingDir}} {{.Config.Cmd}}'
step docker images --filter 'reference=swj-kit' --format '{{.Repository}} {{.Tag}}'

# The quiet one, ids and metadata in files, Dockerfiles and contexts from elsewhere.
step quiet
step same_id
step metadata
step built - <<<$'FROM busybox:test\nRUN echo from standard input: '"$nonce"
tar -C "$work/other" --mtime=@0 --sort=name -c . | gzip -n >"$work/other.tar.gz"
step built --target there -f - "$work/other" <<<$'FROM busybox:test AS there\nCOPY . /there\nRUN ls /there'
printf 'FROM busybox:test\nCOPY . /here\nRUN ls -A /here\n' >"$work/other/Other.dockerfile"
tar -C "$work/other" --mtime=@0 --sort=name -c . >"$work/other.tar"
step built -f Other.dockerfile - <"$work/other.tar"
step built -f "$work/other/Other.dockerfile" "$work/other"

# Secrets and keys are there in the step that asks for them, and nowhere after it.
printf 'a secret of %s' "$nonce" >"$work/secret"
cat >"$work/other/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
COPY nonce /nonce
RUN --mount=type=secret,id=word,required grep -c "$(cat /nonce)" /run/secrets/word
RUN --mount=type=secret,id=variable,target=/word,mode=0444 sha256sum /word && ls -l /word | cut -c1-10
RUN --mount=type=secret,id=none ls /run/secrets/none; ls -R /run /word; true
DOCKERFILE
step env VARIABLE='from a variable' bash -c 'cd "$1" && shift && "$@"' - "$work" "$buildx_cli" build -q -o type=cacheonly \
  --secret id=word,src=secret --secret id=variable,env=VARIABLE other
step built --secret "id=word,src=$work/secret" --secret "id=variable,src=$work/secret" -t swj-secret:1 "$work/other"
step keeps_no_secret
printf 'FROM busybox:test\nCOPY nonce /\nRUN --mount=type=secret,id=absent,required cat /run/secrets/absent\n' >"$work/other/Dockerfile"
ends 1 built "$work/other"
step with_agent ssh_keys

# Everything a step can be given.
cat >"$work/other/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
COPY nonce /nonce
RUN cat /etc/hosts | grep -E 'first|second'; ulimit -n; df -k /dev/shm | awk 'NR==2 {print $2}'
DOCKERFILE
step built --add-host first:10.1.2.3 --add-host second:10.1.2.4 --ulimit nofile=123:456 --shm-size 7m "$work/other"
printf 'FROM busybox:test\nCOPY nonce /\nRUN ls /sys/class/net\n' >"$work/other/Dockerfile"
step built --network none "$work/other"
step built --network default --no-cache "$work/other"
step mounts
if newer 23; then step heredoc; fi

# Named contexts: a directory, an image, a registry's image.
if newer 23; then
  step docker tag busybox:test swj-named:1
  cat >"$work/other/Dockerfile" <<'DOCKERFILE'
FROM picture
COPY nonce /nonce
COPY --from=files sent /sent
RUN ls /sent
DOCKERFILE
  step built --build-context "files=$context" --build-context picture=docker-image://swj-named:1 "$work/other"
  ends 1 built --build-context "files=$context" --build-context picture=docker-image://$registry/swj/missing:1 "$work/other"
fi

# Out: to files, to a stream, to a registry and back; in and out of a registry's cache.
printf 'FROM busybox:test AS made\nCOPY nonce /\nRUN mkdir /out && echo made >/out/file && ln -s file /out/link && cp /nonce /out/nonce\nFROM scratch\nCOPY --from=made /out /out\n' >"$work/other/Dockerfile"
step built -o "type=local,dest=$work/files" "$work/other"
step built -o "type=tar,dest=$work/files.tar" "$work/other"
step files_out
step docker_build_to_stdout
step registry_round

# What cannot be: a store without many platforms, attestations; a step that fails, files that are not right.
ends 1 built --platform linux/amd64,linux/arm64 "$work/other"
step built --platform linux/arm64 -t swj-arm:1 - <<<$'FROM scratch\nLABEL nothing=1'
step docker image inspect swj-arm:1 --format '{{.Architecture}}'
ends 1 built --provenance=true "$work/other"
ends 1 built --sbom=true "$work/other"
step built --provenance=false "$work/other"
printf 'FROM busybox:test\nCOPY nonce /\nRUN echo about to fail; exit 7\n' >"$work/other/Dockerfile"
ends 1 built "$work/other"
ends 1 docker build -q "$work/other"
printf 'FROM busybox:test\nCOPY not-there /\n' >"$work/other/Dockerfile"
ends 1 built "$work/other"
ends 1 built --target missing "$context"
ends 1 built - <<<$'FROM busybox:test\nWHATEVER'
ends 1 built -f "$work/other/none" "$work/other"
ends 1 built "$work/no-such-directory"

# Whoever goes away takes the step along.
for signal in SIGINT SIGTERM SIGKILL; do
  step ended_by "$signal"
done
step built --target small "$context"

if newer 28; then source "$here/steps/buildkit_new.sh"; fi
step docker buildx ls
step docker buildx inspect default
step docker buildx prune -f --filter id=swj-none
step silent docker buildx du
step docker rmi swj-kit:1 swj-kit:2 swj-kit:3 swj-kit:4 swj-beside:1 swj-secret:1 swj-arm:1
step docker images -q --filter 'reference=swj-kit'
