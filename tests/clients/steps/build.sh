# The classic builder: a context of 200 MB, arguments, the cache, targets, and builds that fail.

context=$work/context
mkdir -p "$context/data" "$work/small"
python3 "$here/data.py" 50 >"$context/data/1"
for n in 2 3 4; do cp "$context/data/1" "$context/data/$n"; done
cat >"$context/Dockerfile" <<'DOCKERFILE'
FROM busybox:test AS base
ARG WHO=nobody
ENV PLACE=here
LABEL purpose=test
WORKDIR /context
COPY data .
RUN cat 1 2 3 4 | sha256sum && wc -c 1 2 3 4 && echo "$WHO is $PLACE"

FROM busybox:test AS small
COPY --from=base /context/Dockerfile* /etc/passwd /small/
CMD ["ls", "/small"]
DOCKERFILE
cat >"$work/small/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
COPY . /here
RUN ls -a /here
DOCKERFILE
printf 'left-out\n' >"$work/small/.dockerignore"
touch "$work/small/left-out" "$work/small/sent"

sum_of() {
  cat "$@" | sha256sum
}

# The digest of the context that arrived is printed by the build itself, as a step of the Dockerfile.
step docker build --no-cache --force-rm --target base --build-arg WHO=somebody -t swj-built:1 "$context"
step docker build --target base --build-arg WHO=somebody -t swj-built:2 "$context"
step docker build --no-cache --memory 256m -t swj-small:1 "$work/small"
step docker image inspect swj-built:1 --format '{{.Config.Env}} {{.Config.Labels}} {{.Config.WorkingDir}}'
step docker run --rm --name swj-built swj-built:1 sh -c 'cat 1 2 3 4 | sha256sum'
step sum_of "$context"/data/[1234]
step docker run --rm --name swj-built swj-small:1 find /here

# A Dockerfile alone, a tar stream as context, an error in a step and one in the file.
step docker build --no-cache -t swj-small:2 - <<<$'FROM busybox:test\nRUN echo from standard input'
tar -C "$work/small" --mtime=@0 --sort=name -c . | gzip -n >"$work/small.tar.gz"
step docker build --no-cache -t swj-small:3 - <"$work/small.tar.gz"
step docker build --no-cache -q --network none -t swj-small:4 "$work/small"
ends 7 docker build --no-cache --force-rm - <<<$'FROM busybox:test\nRUN echo about to fail; exit 7'
ends 1 docker build - <<<$'FROM busybox:test\nWHATEVER'
ends 1 docker build --target missing "$work/small"

step docker rmi swj-built:1 swj-built:2 swj-small:1 swj-small:2 swj-small:3 swj-small:4
step docker images -q --filter 'reference=swj-*'
