# What newer clients ask of BuildKit besides building; sourced by the steps before.

step built --check "$context"
printf 'FROM busybox:test as base\nCMD echo hello\nCMD echo again\n' >"$work/other/Dockerfile"
ends 1 built --check "$work/other"
step built --call targets "$context"
step built --call outline,format=json "$context"

printf 'FROM busybox:test\nCOPY nonce /\nRUN echo for the history\n' >"$work/other/Dockerfile"
step built --metadata-file "$work/metadata" -t swj-kit:5 "$work/other"
ref=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["buildx.build.ref"].rsplit("/")[-1])' "$work/metadata")
logged() { docker buildx history logs "$ref" 2>&1 | told; }
inspected() { docker buildx history inspect "$ref" --format '{{.Name}} {{.Status}} {{.NumCompletedSteps}} {{.NumTotalSteps}}'; }
removed() { docker buildx history rm "$ref"; }
step logged
step inspected
ends 1 docker buildx history logs swjmissingref
# Docker 28 ends when its history is listed and a record of anybody's is just being removed, so nobody lists it here.
step removed
step docker rmi swj-kit:5

# The largest context that is promised to pass: 20,000 small files, and one of a gigabyte. It is looked at and not copied.
vast=$work/vast
mkdir "$vast" && many_files "$vast/many" 20000
truncate -s 1G "$vast/large" && echo "$nonce" >>"$vast/large"
cat >"$vast/Dockerfile" <<'DOCKERFILE'
FROM busybox:test
RUN --mount=type=bind,target=/vast cd /vast && find many -type f | wc -l && cat many/*/* | sha256sum && stat -c %s large && tail -c 17 large
DOCKERFILE
step built -o type=cacheonly "$vast"
rm -r "$vast"
