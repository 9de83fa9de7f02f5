//! What owners share, have at a time, and leave behind.

use crate::report;

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
