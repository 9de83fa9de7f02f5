//! Rules, by which requests are refused, allowed or changed.

use crate::report;

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
