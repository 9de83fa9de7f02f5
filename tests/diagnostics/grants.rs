//! What may be mounted, used and seen, and how much of it.

use crate::report;

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
