# Images: push and pull with a registry, names, history, save and load.

image=$registry/swj/base

# What a pull prints of its layers depends on who was faster; that it ended, and with what, does not.
pulled() {
  docker "$@" >"$work/pull" || return
  grep -Ev ': (Pulling fs layer|Waiting|Downloading|Verifying Checksum|Download complete|Extracting|Pull complete)' "$work/pull"
}

saved_names() {
  docker save "$@" | tar -t | sed 's/[0-9a-f]\{64\}/LAYER/' | sort
}

# The layer only: in what order newer engines write the small files around it differs each time.
saved_layer() {
  mkdir "$work/unpacked" && tar -C "$work/unpacked" -xf "$work/saved.tar" &&
    find "$work/unpacked" -type f -size +1M -exec sha256sum {} + | cut -c1-66
}

# The engine says so in a stream that began well, sockwarden before there is one; the words are each its own.
load_nonsense() { docker load <"$here/job.sh" >/dev/null 2>&1; }

# Credentials in the configuration make the client send X-Registry-Auth; the registry asks for none.
with_credentials() {
  mkdir -p "$work/config"
  printf '{"auths":{"%s":{"auth":"%s"}}}' "$registry" "$(printf 'ci:a secret' | base64)" >"$work/config/config.json"
  pulled --config "$work/config" "$@"
}

# Not the oldest API version: sockwarden models none before 1.24 and says so.
step docker version --format '{{.Client.Version}} {{.Client.APIVersion}} {{.Server.Version}} {{.Server.APIVersion}}'
step docker info --format '{{.ServerVersion}} {{.OSType}} {{.Driver}} {{.Name}}'

step docker tag busybox:test "$image:1"
step docker tag busybox:test "$image:2"
step pulled push "$image:1"
step with_credentials push "$image:2"
step docker rmi "$image:1"
step docker rmi "$image:2"
ends 1 docker image inspect "$image:1"
step pulled pull "$image:1"
step docker pull -q "$image:2"
step with_credentials pull "$image:1"
ends 1 docker pull "$image:none"
step docker images --filter "reference=$image" --format '{{.Repository}} {{.Tag}} {{.Size}}'
step docker image inspect "$image:1" --format '{{.Os}} {{.Architecture}} {{.RootFS.Type}} {{len .RootFS.Layers}} {{.Config.Cmd}}'
step docker history "$image:1" --format '{{.Size}} {{.Comment}}'
step docker pull "$(docker image inspect "$image:1" --format '{{index .RepoDigests 0}}')"

step docker tag "$image:1" swj-saved:1
step docker tag "$image:1" swj-saved:2
step saved_names swj-saved:1 swj-saved:2
step docker save -o "$work/saved.tar" swj-saved:1 swj-saved:2
step saved_layer
step docker rmi swj-saved:1 swj-saved:2
step sorted docker load -i "$work/saved.tar"
step docker rmi swj-saved:1
step sorted docker load <"$work/saved.tar"
step docker run --rm --name swj-loaded swj-saved:1 echo 'runs from a loaded image'
ends 1 load_nonsense
step docker rmi swj-saved:1 swj-saved:2 "$image:1" "$image:2"
step docker images -q --filter 'reference=swj-*'
