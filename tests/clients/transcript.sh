# Sourced by the jobs: runs a step and writes down all that a user of the command line would see, its
# output, its error output and its exit code. Two runs of a job are compared by their transcripts.
#
# A step says how it must end. A job in which everything fails alike would otherwise compare as equal,
# so a step that ends otherwise makes the whole job fail.

# A stream that never ends is a finding, not a hanging test.
limit=300         # seconds for one command
job_limit=1500    # seconds until no further step is begun
unexpected=0

docker() {
  timeout -k 5 "$limit" "$cli" "$@"
}

normalised() {
  python3 "$here/normalise.py" "$socket" "$registry" "$work"
}

part() {
  printf '\n== %s ==\n' "$1"
}

# step COMMAND…: must end with exit code 0
step() {
  ends 0 "$@"
}

# ends CODE COMMAND…: must end with that exit code
ends() {
  local want=$1 code=0
  shift
  if ((SECONDS > job_limit)); then
    echo "OUT OF TIME: $job_limit s are over, the next step would have been: $*"
    exit 1
  fi
  printf '\n$ %s\n' "$*"
  "$@" >"$work/out" 2>"$work/err" || code=$?
  sed -e 's/^/out| /' -e '$a\' "$work/out"
  sed -e 's/^/err| /' -e '$a\' "$work/err"
  echo "exit $code"
  if [[ $code != "$want" ]]; then
    echo "UNEXPECTED: should have ended with $want"
    unexpected=$((unexpected + 1))
  fi
}

# sorted COMMAND…: for commands that do several things at once and report them in any order; ids are
# replaced before, or they would decide the order
sorted() {
  local code=0
  "$@" >"$work/sorted.out" 2>"$work/sorted.err" || code=$?
  normalised <"$work/sorted.out" | sort
  normalised <"$work/sorted.err" | sort >&2
  return $code
}

# until_true COMMAND…: waits for a state that another process brings about
until_true() {
  local deadline=$((SECONDS + 120))
  until "$@" >"$work/until.log" 2>&1; do
    if ((SECONDS > deadline)); then
      echo "not within 120 s: $*; last it said: $(cat "$work/until.log")" >&2
      return 1
    fi
    sleep 0.1
  done
}

finish() {
  printf '\nsteps that ended unexpectedly: %s\n' "$unexpected"
  [[ $unexpected == 0 ]]
}
