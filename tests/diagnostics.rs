//! Mistakes in a policy file as a person sees them, all in one go; and the reference, which names every word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use sockwarden::policy::Fact;
use sockwarden::policy::ask::Flag;
use sockwarden::policy::check::check;
use sockwarden::policy::group::GROUPS;
use sockwarden::policy::quota::Resource;
use sockwarden::policy::shipped;

/// The report of a file whose text begins after the first newline
fn report(text: &str) -> String {
    check("policy.toml", text.trim_start()).report.to_string()
}

#[test]
fn words_that_are_nearly_right_are_named() {
    let report = report(
        r##"
extends = "cii"
mode    = "enforced"
allow   = ["containers", "pull", "build.trace"]
privileged = true

[images]
allow = ["Registry.example.com/CI/**", "registry.example.com"]

[run]
cap-add = ["SYS_PTRACE"]
user    = 0
publish = ["*:80000"]
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P005]: no policy `cii` is shipped
 --> policy.toml:1:11
  |
1 | extends = "cii"
  |           ^^^^^
  |
  = help: did you mean `ci`?
  = help: shipped are deny-all, readonly, ci, unrestricted

error[P005]: `enforced` is not known here
 --> policy.toml:2:11
  |
2 | mode    = "enforced"
  |           ^^^^^^^^^^ expected enforce, warn, record
  |
  = help: did you mean `enforce`?

error[P006]: `containers` is no operation and no group
 --> policy.toml:3:12
  |
3 | allow   = ["containers", "pull", "build.trace"]
  |            ^^^^^^^^^^^^
  |
  = help: did you mean `container`?

error[P006]: `pull` is no operation and no group
 --> policy.toml:3:26
  |
3 | allow   = ["containers", "pull", "build.trace"]
  |                          ^^^^^^
  |
  = help: did you mean `image.pull`?

error[P007]: `build.trace` is closed whatever a policy says
 --> policy.toml:3:34
  |
3 | allow   = ["containers", "pull", "build.trace"]
  |                                  ^^^^^^^^^^^^^ builds do without a client's traces

error[P002]: the file has no key `privileged`
 --> policy.toml:4:1
  |
4 | privileged = true
  | ^^^^^^^^^^ unknown key
  |
  = help: `privileged` stands in `[run]`

error[P008]: this pattern cannot be used
 --> policy.toml:7:10
  |
7 | allow = ["Registry.example.com/CI/**", "registry.example.com"]
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ a repository is lower-case letters and digits, joined by `.`, `_`, `__`, `-` and `/`
  |
  = help: write `registry.example.com/ci/**`

error[P008]: this pattern cannot be used
 --> policy.toml:7:40
  |
7 | allow = ["Registry.example.com/CI/**", "registry.example.com"]
  |                                        ^^^^^^^^^^^^^^^^^^^^^^ this is the name of an image on docker.io, not a registry
  |
  = help: for every image of a registry write `registry.example.com/**`

error[P002]: `run` has no key `cap-add`
  --> policy.toml:10:1
   |
10 | cap-add = ["SYS_PTRACE"]
   | ^^^^^^^ unknown key
   |
   = help: did you mean `cap_add`?

error[P003]: `run.user` must be a list of strings, `true` or `false`
  --> policy.toml:11:11
   |
11 | user    = 0
   |           ^ this is an integer

error[P010]: this pattern cannot be used
  --> policy.toml:12:12
   |
12 | publish = ["*:80000"]
   |            ^^^^^^^^^ `80000` is no port; ports are 0 (any free one) to 65535
   |
   = help: write `address:first-last`, as `*:1024-65535` or `127.0.0.1:0`
"##);
}

#[test]
fn mounts_and_amounts_are_read_strictly() {
    let report = report(
        r##"
[mounts]
allow  = [{ source = "srv/cache", acess = "ro" }, "/srv/../etc"]
forbid = [{ source = "/etc", access = "ro" }]

[limits]
memory  = "4X"
cpus    = -1
ulimits = { nofiles = 1024 }

[force]
cap_drop = ["NET RAW"]
labels   = { "sockwarden.owner" = "me" }
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P009]: this pattern cannot be used
 --> policy.toml:2:22
  |
2 | allow  = [{ source = "srv/cache", acess = "ro" }, "/srv/../etc"]
  |                      ^^^^^^^^^^^ a host path begins with `/`
  |
  = help: the engine looks the path up on its own host, not in the caller's directory

error[P002]: `mounts.allow` has no key `acess`
 --> policy.toml:2:35
  |
2 | allow  = [{ source = "srv/cache", acess = "ro" }, "/srv/../etc"]
  |                                   ^^^^^ unknown key
  |
  = help: did you mean `access`?

error[P009]: this pattern cannot be used
 --> policy.toml:2:51
  |
2 | allow  = [{ source = "srv/cache", acess = "ro" }, "/srv/../etc"]
  |                                                   ^^^^^^^^^^^^^ the path is not clean, so that no mount can match it
  |
  = help: write `/etc`

error[P002]: a forbidden path is forbidden in every way
 --> policy.toml:3:39
  |
3 | forbid = [{ source = "/etc", access = "ro" }]
  |                                       ^^^^
  |
  = help: leave `access` and `propagation` out

error[P013]: this amount cannot be used
 --> policy.toml:6:11
  |
6 | memory  = "4X"
  |           ^^^^ `x` is no unit; use KiB, MiB, GiB or TiB

error[P013]: this amount cannot be used
 --> policy.toml:7:11
  |
7 | cpus    = -1
  |           ^^ it must be above zero; leave the key out for no limit

error[P002]: no ulimit is called `nofiles`
 --> policy.toml:8:13
  |
8 | ulimits = { nofiles = 1024 }
  |             ^^^^^^^
  |
  = help: did you mean `nofile`?

error[P014]: this is no capability's name
  --> policy.toml:11:13
   |
11 | cap_drop = ["NET RAW"]
   |             ^^^^^^^^^
   |
   = help: write it as docker does, such as `NET_RAW` or `ALL`

error[P014]: labels that begin with `sockwarden.` are set by sockwarden itself
  --> policy.toml:12:14
   |
12 | labels   = { "sockwarden.owner" = "me" }
   |              ^^^^^^^^^^^^^^^^^^
"##);
}

#[test]
fn what_is_shared_has_names_and_stands_under_the_owner() {
    let report = report(
        r##"
[owner]
share = { networks = ["ci-*", "a/b"], volumes = "cache", images = ["Library/Go"], network = ["x"] }
[run]
share = true
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P014]: this pattern cannot be used
 --> policy.toml:2:31
  |
2 | share = { networks = ["ci-*", "a/b"], volumes = "cache", images = ["Library/Go"], network = ["x"] }
  |                               ^^^^^ no object can have this name
  |
  = help: names are letters, digits, `_`, `.` and `-`; `*` stands for any text

error[P003]: `owner.share.volumes` must be a list
 --> policy.toml:2:49
  |
2 | share = { networks = ["ci-*", "a/b"], volumes = "cache", images = ["Library/Go"], network = ["x"] }
  |                                                 ^^^^^^^ this is a string

error[P008]: this pattern cannot be used
 --> policy.toml:2:68
  |
2 | share = { networks = ["ci-*", "a/b"], volumes = "cache", images = ["Library/Go"], network = ["x"] }
  |                                                                    ^^^^^^^^^^^^ a repository is lower-case letters and digits, joined by `.`, `_`, `__`, `-` and `/`
  |
  = help: write `library/go`

error[P002]: `owner.share` has no key `network`
 --> policy.toml:2:83
  |
2 | share = { networks = ["ci-*", "a/b"], volumes = "cache", images = ["Library/Go"], network = ["x"] }
  |                                                                                   ^^^^^^^ unknown key
  |
  = help: did you mean `networks`?

error[P002]: `run` has no key `share`
 --> policy.toml:4:1
  |
4 | share = true
  | ^^^^^ unknown key
  |
  = help: `share` stands in `[owner]`
"##);
}

#[test]
fn rules_are_anchored_and_complete() {
    let report = report(
        r##"
[[rule]]
id    = "no-latest"
forbid = "container.create"
when  = { imag = ':latest$', name = '(' }

[[rule]]
id    = "debian"
allow = "container.create"
when  = { image = 'debian|alpine$' }

[[rule]]
id    = "debian"
allow = "container.create"
when  = { name = '^(?:a|b)$' }

[[rule]]
reason = "none"
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P002]: `rule.when` has no key `imag`
 --> policy.toml:4:11
  |
4 | when  = { imag = ':latest$', name = '(' }
  |           ^^^^ unknown key
  |
  = help: did you mean `image`?

error[P011]: this is no regular expression
 --> policy.toml:4:38
  |
4 | when  = { imag = ':latest$', name = '(' }
  |                                      ^ unclosed group

error[P012]: a rule that allows must match the whole value
 --> policy.toml:9:19
  |
9 | when  = { image = 'debian|alpine$' }
  |                   ^^^^^^^^^^^^^^^^ matches any part of it
  |
  = help: write '^(?:debian|alpine)$'

error[P015]: a second rule has the id `debian`
  --> policy.toml:12:9
   |
12 | id    = "debian"
   |         ^^^^^^^^ the first one stands at policy.toml:6

error[P004]: `rule.id` is missing
  --> policy.toml:16:1
   |
16 | [[rule]]
   | ^^^^^^^^

error[P004]: the rule has no effect
  --> policy.toml:16:1
   |
16 | [[rule]]
   | ^^^^^^^^
   |
   = help: give `forbid` or `allow` with an operation or a group, or a change: `privileged = "strip"`, `runtime`
"##);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let report = report(
        r##"
extends = "ci"
allow   = ["image.pull", "container.update"]

[images]
allow = ["debian", "registry.example.com/ci/*", "registry.example.com/**"]

[run]
ulimit = ["nofile=1024:*"]
publish = ["8080"]
"##,
    );
    insta::assert_snapshot!(report, @r##"
warning[P102]: `image.pull` is allowed already
 --> policy.toml:2:12
  |
2 | allow   = ["image.pull", "container.update"]
  |            ^^^^^^^^^^^^ by ci:7

warning[P103]: `container.update` is allowed here and forbidden altogether
 --> policy.toml:2:26
  |
2 | allow   = ["image.pull", "container.update"]
  |                          ^^^^^^^^^^^^^^^^^^ forbidden by ci:8
  |
  = help: forbid wins over allow, in any order

warning[P102]: `debian` is allowed already
 --> policy.toml:5:10
  |
5 | allow = ["debian", "registry.example.com/ci/*", "registry.example.com/**"]
  |          ^^^^^^^^ by ci:17

warning[P102]: `registry.example.com/ci/*` is allowed already
 --> policy.toml:5:20
  |
5 | allow = ["debian", "registry.example.com/ci/*", "registry.example.com/**"]
  |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^  ------------------------- by this

warning[P102]: `nofile=1024:*` is allowed already
 --> policy.toml:8:11
  |
8 | ulimit = ["nofile=1024:*"]
  |           ^^^^^^^^^^^^^^^ by ci:30

warning[P102]: `8080` is allowed already
 --> policy.toml:9:12
  |
9 | publish = ["8080"]
  |            ^^^^^^ by ci:24
"##);
}

#[test]
fn what_callers_have_is_granted_by_switches() {
    let report = report(
        r##"
[mounts]
caller  = "yes"
socket  = ["/var/run/docker.sock"]
sockets = true

[limits]
caller = 1

[run]
socket = true
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P003]: `mounts.caller` must be `true` or `false`
 --> policy.toml:2:11
  |
2 | caller  = "yes"
  |           ^^^^^ this is a string

error[P003]: `mounts.socket` must be `true` or `false`
 --> policy.toml:3:11
  |
3 | socket  = ["/var/run/docker.sock"]
  |           ^^^^^^^^^^^^^^^^^^^^^^^^ this is a list

error[P002]: `mounts` has no key `sockets`
 --> policy.toml:4:1
  |
4 | sockets = true
  | ^^^^^^^ unknown key
  |
  = help: did you mean `socket`?

error[P003]: `limits.caller` must be `true` or `false`
 --> policy.toml:7:10
  |
7 | caller = 1
  |          ^ this is an integer

error[P002]: `run` has no key `socket`
  --> policy.toml:10:1
   |
10 | socket = true
   | ^^^^^^ unknown key
   |
   = help: `socket` stands in `[mounts]`
"##);
}

#[test]
fn failed_tests_say_everything_that_matters() {
    let report = report(
        r##"
extends = "ci"

[[test]]
request = "docker run --privileged --pid host evil.example.com/x"
expect  = "allow"

[[test]]
request = "docker run --privileged alpine"
expect  = "deny"
because = "priviledged"

[[test]]
request = "docker run --privilege alpine"
expect  = "refuse"

[[test]]
request = "docker runn alpine"
expect  = "deny"

[[test]]
request = { method = "GET", path = "/containers/jsn" }
expect  = "deny"
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P017]: the test expects `allow`, the verdict is `deny`
 --> policy.toml:4:11
  |
4 | request = "docker run --privileged --pid host evil.example.com/x"
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ is refused
5 | expect  = "allow"
  |           ------- expected this
  |
  = note: refused: image evil.example.com/x:latest (Image): use an image that `[images] allow` names, or have the registry added there
  = note: refused: pid=host (HostConfig.PidMode): leave --pid out, or have it allowed by `pid` in `[run]`
  = note: refused: privileged (HostConfig.Privileged): run without --privileged; ask for the one capability or device you need, or have it allowed by `privileged = true` in `[run]`

error[P017]: `priviledged` is not what it comes from
  --> policy.toml:10:11
   |
10 | because = "priviledged"
   |           ^^^^^^^^^^^^^
   |
   = note: refused: privileged (HostConfig.Privileged): run without --privileged; ask for the one capability or device you need, or have it allowed by `privileged = true` in `[run]`
   = help: did you mean `privileged`?

error[P016]: this request is not understood
  --> policy.toml:13:23
   |
13 | request = "docker run --privilege alpine"
   |                       ^^^^^^^^^^^ this command has no option `--privilege`
   |
   = help: did you mean `--privileged`?

error[P005]: `refuse` is no verdict
  --> policy.toml:14:11
   |
14 | expect  = "refuse"
   |           ^^^^^^^^ expected allow, modify, deny

error[P016]: this request is not understood
  --> policy.toml:17:19
   |
17 | request = "docker runn alpine"
   |                   ^^^^ `docker runn` is not known here
   |
   = help: did you mean `docker run`?

error[P016]: this request is not understood
  --> policy.toml:21:11
   |
21 | request = { method = "GET", path = "/containers/jsn" }
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `GET /containers/jsn`: no operation `GET /containers/jsn` is known
"##);
}

#[test]
fn quotas_that_cannot_be_used_are_shown() {
    let report = report(
        r##"
memory = "1GiB"
[quota]
containers = 2.5
networks = -1
volumes = 0
memory = "4 gigs"
cpus = 0
pids = 0
port = 3
cgroup = 1
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P002]: the file has no key `memory`
 --> policy.toml:1:1
  |
1 | memory = "1GiB"
  | ^^^^^^ unknown key
  |
  = help: `memory` stands in `[limits]`

error[P013]: this amount cannot be used
 --> policy.toml:3:14
  |
3 | containers = 2.5
  |              ^^^ write a whole number such as 1024

error[P013]: this amount cannot be used
 --> policy.toml:4:12
  |
4 | networks = -1
  |            ^^ it must not be below zero; leave the key out for no limit

error[P013]: this amount cannot be used
 --> policy.toml:6:10
  |
6 | memory = "4 gigs"
  |          ^^^^^^^^ `gigs` is no unit; use KiB, MiB, GiB or TiB

error[P013]: this amount cannot be used
 --> policy.toml:7:8
  |
7 | cpus = 0
  |        ^ it must be above zero; leave the key out for no limit

error[P013]: this amount cannot be used
 --> policy.toml:8:8
  |
8 | pids = 0
  |        ^ it must be above zero; leave the key out for no limit

error[P002]: `quota` has no key `port`
 --> policy.toml:9:1
  |
9 | port = 3
  | ^^^^ unknown key
  |
  = help: did you mean `ports`?

error[P003]: `quota.cgroup` must be `true` or `false`
  --> policy.toml:10:10
   |
10 | cgroup = 1
   |          ^ this is an integer
"##);
    let report = self::report("[quota]\nports = 0\ncgroup = true\n");
    insta::assert_snapshot!(report, @r##"
warning[P101]: a cgroup would have nothing to carry
 --> policy.toml:3:10
  |
3 | cgroup = true
  |          ^^^^
  |
  = help: give the owner a sum of `memory`, `cpus` or `pids` in `[quota]`
"##);
    assert_eq!(self::report("[quota]\nports = 0\npids = 5\ncgroup = true\n"), "");
}

#[test]
fn a_broken_file_is_shown_where_it_breaks() {
    let report = report(
        r##"
name = "a"
name = "b"
mode = enforce
allow = ["image"
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P001]: duplicate key
 --> policy.toml:2:1
  |
2 | name = "b"
  | ^^^^

error[P001]: string values must be quoted, expected literal string
 --> policy.toml:3:8
  |
3 | mode = enforce
  |        ^^^^^^^

error[P001]: unclosed array, expected `]`
 --> policy.toml:4:17
  |
4 | allow = ["image"
  |                 ^
"##);
}

#[test]
fn the_reference_names_every_word() {
    let text = include_str!("../docs/policy.md");
    let sections: Vec<&str> = text.split("\n## ").collect();
    let section = |title: &str| *sections.iter().find(|section| section.starts_with(title)).unwrap();
    for group in GROUPS {
        let row = format!("\n| `{}` | ", group.name);
        assert!(section("Operations").contains(&row), "group {}", group.name);
    }
    for name in sockwarden::policy::group::names() {
        assert!(text.contains(&format!("`{name}`")), "operation {name}");
    }
    for (fact, _) in Fact::ALL {
        assert!(section("Rules").contains(&format!("\n| `{fact}` | ")), "fact {fact}");
    }
    for resource in Resource::ALL {
        assert!(section("Quotas").contains(&format!("`{}`", resource.key())), "{resource:?}");
    }
    for flag in Flag::ALL {
        let key = format!("`{}`", flag.key());
        let words = section("The words of docker run");
        let named = match flag.section() {
            "run" => words.contains(&key),
            other => {
                words.contains(&format!("`[{other}] {}`", flag.key())) || (other == "exec" && words.contains(&key))
            }
        };
        assert!(named, "{flag:?}");
    }
}

#[test]
fn whatever_is_left_of_a_policy_is_reported_on() {
    for (name, text) in shipped::ALL {
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for at in ends.iter().step_by(97) {
            let (before, after) = text.split_at(*at);
            check(name, before).report.to_string();
            check(name, after).report.to_string();
            // Without one character.
            let rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap();
            check(name, &format!("{before}{rest}")).report.to_string();
        }
    }
}

#[test]
fn a_rule_that_changes_says_how_and_for_what_in_full() {
    let report = report(
        r##"
[[rule]]
id         = "half"
privileged = "stripped"
runtime    = ""
when       = { image = 'ryuk' }

[[rule]]
id         = "both"
forbid     = "container.create"
privileged = "strip"
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P005]: `stripped` is not known here
 --> policy.toml:3:14
  |
3 | privileged = "stripped"
  |              ^^^^^^^^^^ expected strip, allow

error[P014]: an empty value cannot be forced
 --> policy.toml:4:14
  |
4 | runtime    = ""
  |              ^^
  |
  = help: leave the key out

error[P012]: a rule that changes must match the whole value
 --> policy.toml:5:24
  |
5 | when       = { image = 'ryuk' }
  |                        ^^^^^^ matches any part of it
  |
  = help: write '^ryuk$'

error[P004]: the rule has both an operation and a change
 --> policy.toml:7:1
  |
7 | [[rule]]
  | ^^^^^^^^
  |
  = help: give `forbid` or `allow` with an operation or a group, or a change: `privileged = "strip"`, `runtime`
"##);
}

#[test]
fn cleaning_up_is_read_strictly_and_what_does_nothing_is_said() {
    let report = report(
        r##"
[owner]
clean_up = "when-job-ends"
lease = "5s"
grace = 10
keep = "on-success"
images = "yes"
"##,
    );
    insta::assert_snapshot!(report, @r##"
error[P005]: `when-job-ends` is not known here
 --> policy.toml:2:12
  |
2 | clean_up = "when-job-ends"
  |            ^^^^^^^^^^^^^^^ expected never, when-caller-ends, when-sockwarden-ends

error[P013]: this time cannot be used
 --> policy.toml:3:9
  |
3 | lease = "5s"
  |         ^^^^ it must be at least 10s

error[P013]: this time cannot be used
 --> policy.toml:4:9
  |
4 | grace = 10
  |         ^^ write a time such as "4h", "90s" or "1d"

error[P005]: `on-success` is not known here
 --> policy.toml:5:8
  |
5 | keep = "on-success"
  |        ^^^^^^^^^^^^ expected nothing, on-failure

error[P003]: `owner.images` must be `true` or `false`
 --> policy.toml:6:10
  |
6 | images = "yes"
  |          ^^^^^ this is a string
"##);
}

#[test]
fn cleaning_up_without_a_when_is_a_warning() {
    let never = report("[owner]\nlease = '4h'\nimages = true\n");
    insta::assert_snapshot!(never, @r##"
warning[P101]: this key has no effect here
 --> policy.toml:2:9
  |
2 | lease = '4h'
  |         ^^^^ nothing is cleaned up
  |
  = help: say when, as `clean_up = "when-caller-ends"`

warning[P101]: this key has no effect here
 --> policy.toml:3:10
  |
3 | images = true
  |          ^^^^ nothing is cleaned up
  |
  = help: say when, as `clean_up = "when-caller-ends"`
"##);
    let nobody_fails = report("[owner]\nclean_up = 'when-sockwarden-ends'\nkeep = 'on-failure'\n");
    insta::assert_snapshot!(nobody_fails, @r##"
warning[P101]: this key has no effect here
 --> policy.toml:3:8
  |
3 | keep = 'on-failure'
  |        ^^^^^^^^^^^^ nobody's end is waited for that could fail
"##);
}

#[test]
fn what_of_images_is_seen_is_one_of_two_words() {
    let report = report("[images]\nvisible = 'mine'\n");
    insta::assert_snapshot!(report, @r##"
error[P005]: `mine` is not known here
 --> policy.toml:2:11
  |
2 | visible = 'mine'
  |           ^^^^^^ expected all, own
"##);
}

#[test]
fn all_rights_are_granted_to_a_pinned_image_in_a_runtime_that_keeps_them_only() {
    let open = report(
        r##"
[[rule]]
id         = "builder"
privileged = "allow"
when       = { image = '^docker\.io/moby/buildkit:.*$' }

[[rule]]
id         = "plain"
privileged = "allow"
runtime    = "runc"

[[rule]]
id         = "word"
privileged = "keep"
"##,
    );
    insta::assert_snapshot!(open, @r##"
error[P018]: all rights of the host are granted here
 --> policy.toml:3:14
  |
3 | privileged = "allow"
  |              ^^^^^^^ no `runtime` is forced
  |
  = help: force one that keeps them from the host: runtime = "sysbox-runc"

error[P018]: all rights are granted to an image that may change
 --> policy.toml:4:24
  |
4 | when       = { image = '^docker\.io/moby/buildkit:.*$' }
  |                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ names no digest
  |
  = help: end the image with its digest: when = { image = '^docker\.io/moby/buildkit:[^@]*@sha256:…$' }, all 64 digits

error[P018]: all rights are granted to an image that may change
 --> policy.toml:8:14
  |
8 | privileged = "allow"
  |              ^^^^^^^ names no digest
  |
  = help: end the image with its digest: when = { image = '^docker\.io/moby/buildkit:[^@]*@sha256:…$' }, all 64 digits

error[P018]: `runc` gives a privileged container all rights of the host
 --> policy.toml:9:14
  |
9 | runtime    = "runc"
  |              ^^^^^^
  |
  = help: force a runtime that keeps them from the host, as `sysbox-runc` or `kata`

error[P005]: `keep` is not known here
  --> policy.toml:13:14
   |
13 | privileged = "keep"
   |              ^^^^^^ expected strip, allow
"##);
}
