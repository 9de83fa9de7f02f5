# `docker buildx bake`: forty targets over one connection, targets that build on targets, and what a target may ask.
source "$here/buildkit.sh"

# Newer clients ask before they read or write anything outside of the directory they are in.
in_project() { (cd "$project" && "$@"); }

baked() {
  local code=0
  in_project docker buildx bake --progress plain "$@" >"$work/built.out" 2>"$work/built.err" || code=$?
  sed "s/$nonce/NONCE/g" "$work/built.out"
  if ((code)); then told failed; else told many; fi <"$work/built.err" >&2
  return $code
}

project=$work/bake
mkdir -p "$project/more"
echo "$nonce" >"$project/nonce"
echo "of a directory" >"$project/more/file"
cat >"$project/Dockerfile" <<'DOCKERFILE'
FROM busybox:test AS base
COPY nonce /nonce

FROM base AS common
RUN echo "made once" >/common

FROM base AS made
ARG NUMBER
RUN echo "made for $NUMBER" >/made

FROM scratch
COPY --from=common /common /common
COPY --from=made /made /made
DOCKERFILE
python3 - "$project" <<'PYTHON'
import json, sys

directory = sys.argv[1]
targets = {
    f"target{number}": {"context": ".", "args": {"NUMBER": str(number)}, "tags": [f"swj-bake:{number}"]}
    for number in range(40)
}
group = {"all": {"targets": list(targets)}}
json.dump({"group": group, "target": targets}, open(f"{directory}/forty.json", "w"))
PYTHON
cat >"$project/linked.hcl" <<'HCL'
group "default" { targets = ["upper", "beside"] }
target "lower" {
  context = "."
  target = "made"
  args = { NUMBER = "lower" }
}
target "upper" {
  contexts = { below = "target:lower", files = "./more" }
  dockerfile-inline = <<EOT
FROM below AS both
COPY --from=files file /file
RUN cat /made /file
FROM below
COPY --from=both /file /from-both
RUN cat /from-both /made
EOT
  tags = ["swj-bake:upper"]
}
target "beside" {
  context = "."
  target = "common"
  output = ["type=local,dest=out"]
}
target "failing" {
  contexts = { below = "target:lower" }
  dockerfile-inline = "FROM below\nRUN exit 3\n"
}
target "secret" {
  dockerfile-inline = <<EOT
FROM busybox:test
COPY --from=files file /file
RUN --mount=type=secret,id=word cat /run/secrets/word | sha256sum
EOT
  contexts = { files = "./more" }
  secret = ["id=word,src=more/file"]
  no-cache = true
}
HCL
printed() { in_project docker buildx bake -f forty.json --print target7 2>/dev/null; }
sorted_tags() { docker images --filter 'reference=swj-bake' --format '{{.Tag}}' | sort; }
made_of() { docker save "swj-bake:$1" >"$work/saved.tar" && rm -rf "$work/unpacked" && mkdir "$work/unpacked" && tar -C "$work/unpacked" -xf "$work/saved.tar" &&
  find "$work/unpacked" -type f -exec sh -c 'tar -xOf "$1" made 2>/dev/null' - {} \; ; }
forty() { baked -f forty.json all; }

step printed
step forty
step sorted_tags
step made_of 23
step sorted docker rmi $(seq -f swj-bake:%g 0 39)
if newer 23; then
  step baked -f linked.hcl
  step docker run --rm --name swj-bake swj-bake:upper cat /from-both
  step cat "$project/out/common"
  ends 1 baked -f linked.hcl failing upper
  step silent baked -f linked.hcl secret
  step docker rmi swj-bake:upper
fi
step sorted_tags
