# Compose with BuildKit: `build` and `up --build`, services that share a context, and one that cannot be built.
source "$here/buildkit.sh"

compose() { docker compose --ansi never --progress plain --project-name swj-project --project-directory "$work/project" "$@"; }
# Which lines come, and in what order, is another with each version of Compose: that it ends, and with what, is not.
quietly() {
  local code=0
  compose "$@" >"$work/compose.log" 2>&1 || code=$?
  ((code)) && grep -oE 'failed to solve: .*' "$work/compose.log" | sort -u
  return $code
}

mkdir -p "$work/project/app"
echo "$nonce" >"$work/project/app/nonce"
echo 'a secret' >"$work/project/secret"
cat >"$work/project/app/Dockerfile" <<'DOCKERFILE'
FROM busybox:test AS base
COPY nonce /nonce
ARG GREETING=none
RUN --mount=type=secret,id=word sha256sum </run/secrets/word >/sum; echo "$GREETING" >/greeting

FROM base AS server
CMD ["sh", "-c", "cat /greeting /sum"]

FROM base AS other
RUN touch /other
CMD ["ls", "/other", "/nonce"]
DOCKERFILE
cat >"$work/project/compose.yaml" <<'YAML'
services:
  server:
    build:
      context: app
      target: server
      args: { GREETING: hello }
      secrets: [word]
      labels: { purpose: test }
      tags: ["swj-compose:tagged"]
    image: swj-compose:server
  other:
    build: { context: app, target: other, network: none, shm_size: 4m, secrets: [word] }
    image: swj-compose:other
  broken:
    build: { context: app, dockerfile_inline: "FROM busybox:test\nRUN exit 5\n" }
    profiles: [broken]
secrets:
  word: { file: ./secret }
YAML

compose_images() { docker images --filter 'reference=swj-compose' --format '{{.Tag}}' | sort; }
all_said() { [[ $(compose_logs | grep -c '') == 4 ]]; }
compose_logs() { compose logs --no-log-prefix --no-color | sort; }

step quietly build
step compose_images
step quietly build --no-cache --build-arg GREETING=again server
step compose run --rm --name swj-server -T server
if newer 28; then failing=1; else failing=17; fi    # of Compose itself, or of bake, which newer ones use
ends "$failing" quietly build broken
step quietly up --build -d
step until_true all_said
step compose_logs
step quietly down -t 1
step docker image inspect swj-compose:server --format '{{.Config.Labels.purpose}}'
step docker rmi swj-compose:server swj-compose:tagged swj-compose:other
