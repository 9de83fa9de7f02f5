//! Mistakes in a policy file as a person sees them, all in one go; and the reference, which names every word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use sockwarden::policy::Fact;
use sockwarden::policy::ask::Flag;
use sockwarden::policy::check::check;
use sockwarden::policy::group::GROUPS;
use sockwarden::policy::quota::Resource;
use sockwarden::policy::shipped;

mod diagnostics {
    mod grants;
    mod owner;
    mod rules;
}

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
allow   = ["containers", "pull", "build.cancel"]
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
3 | allow   = ["containers", "pull", "build.cancel"]
  |            ^^^^^^^^^^^^
  |
  = help: did you mean `container`?

error[P006]: `pull` is no operation and no group
 --> policy.toml:3:26
  |
3 | allow   = ["containers", "pull", "build.cancel"]
  |                          ^^^^^^
  |
  = help: did you mean `image.pull`?

error[P007]: `build.cancel` is closed whatever a policy says
 --> policy.toml:3:34
  |
3 | allow   = ["containers", "pull", "build.cancel"]
  |                                  ^^^^^^^^^^^^^^ the classic builder has nothing to cancel by id; end the request of the build itself

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
