//! From a policy as written to one that judges, or to a report of everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use crate::policy::cache::Cache;
use crate::policy::cleaning::Cleaning;
use crate::policy::file::{self, File};
use crate::policy::quota::Quota;
use crate::policy::report::{Code, Problem, Report};
use crate::policy::{Force, Grants, Limits, Mode, Policy, Share, shipped};

pub mod amount;
mod cleaning;
mod fixed;
mod grants;
pub mod image;
mod overlap;
pub mod pattern;
mod quota;
mod rule;

/// Makes a policy of a file's text; `file` is the name shown in messages
///
/// # Errors
/// Everything that is wrong with the file. What is only odd is in the policy's `warnings`.
pub fn compile(file: &str, text: &str) -> Result<Policy, Report> {
    let (written, report) = file::read(file, text);
    build(file, &written, report)
}

/// Makes a policy of a file that was read
///
/// # Errors
/// As [`compile`].
pub fn build(file: &str, written: &File, mut report: Report) -> Result<Policy, Report> {
    let parent = written.extends.as_ref().and_then(|name| parent(name, &mut report));
    let stem = Path::new(file).file_stem().map_or(file.into(), |stem| stem.to_string_lossy());
    let mut policy = Policy { name: stem.into_owned(), ..parent.unwrap_or_else(empty) };
    add(&mut policy, written, &mut report);
    if report.errors() > 0 {
        return Err(report);
    }
    policy.warnings = report;
    Ok(policy)
}

/// A policy that grants nothing
fn empty() -> Policy {
    Policy {
        name: String::new(),
        mode: Mode::Enforce,
        operations: Grants::default(),
        images: Grants::default(),
        frontends: Grants::default(),
        mounts: Grants::default(),
        publish: Grants::default(),
        flags: BTreeMap::new(),
        isolate: None,
        share: Share::default(),
        own_images: None,
        cache: Cache::default(),
        cleaning: Cleaning::default(),
        lexical: None,
        caller: None,
        socket: None,
        pin: None,
        unpinned: None,
        limits: Limits::default(),
        force: Force::default(),
        quota: Quota::default(),
        rules: Vec::new(),
        warnings: Report::new("", ""),
    }
}

fn parent(name: &Spanned<String>, report: &mut Report) -> Option<Policy> {
    let names = shipped::ALL.iter().map(|(name, _)| *name);
    let Some(text) = shipped::text(name.as_ref()) else {
        let problem = Problem::new(Code::UnknownWord, name.span(), format!("no policy `{}` is shipped", name.as_ref()));
        let all = format!("shipped are {}", names.clone().collect::<Vec<_>>().join(", "));
        report.push(problem.meant(name.as_ref(), names).help(all));
        return None;
    };
    match compile(name.as_ref(), text) {
        Ok(policy) => Some(policy),
        Err(inner) => {
            let lines: Vec<String> = inner.lines().collect();
            report.push(Problem::new(Code::BadText, name.span(), lines.join("; ")));
            None
        }
    }
}

/// Adds a file to a policy: lists are added, single values replace
fn add(policy: &mut Policy, written: &File, report: &mut Report) {
    let File {
        name,
        extends: _,
        mode,
        operations: words,
        images,
        mounts,
        publish,
        resolve,
        caller,
        socket,
        pin,
        isolate,
        visible,
        cache,
        cleaning,
        share,
        frontends,
        flags,
        limits,
        force,
        quota,
        rules,
        tests: _,
    } = written;
    if let Some(name) = name {
        policy.name.clone_from(name.as_ref());
    }
    if let Some(mode) = mode {
        policy.mode = word(mode, MODES, report).unwrap_or(policy.mode);
    }
    grants::add_operations(&mut policy.operations, words, report);
    let read = |word: &Spanned<String>| image::image(word.as_ref());
    grants::add_patterns(&mut policy.images, images, Code::ImagePattern, read, overlap::images, report);
    grants::add_mounts(&mut policy.mounts, mounts, report);
    if let Some(publish) = publish {
        let read = |word: &Spanned<String>| pattern::publish(word.as_ref());
        grants::add_granted(&mut policy.publish, publish, Code::PortPattern, read, overlap::ports, report);
    }
    if let Some(frontends) = frontends {
        // What stands alone for everything elsewhere is an image of docker.io here.
        let read = |word: &Spanned<String>| image::image(if word.as_ref() == "*" { "**" } else { word.as_ref() });
        grants::add_granted(&mut policy.frontends, frontends, Code::ImagePattern, read, overlap::images, report);
    }
    for (flag, granted) in flags {
        let grants = policy.flags.entry(*flag).or_default();
        let read = |word: &Spanned<String>| pattern::text(word.as_ref());
        grants::add_granted(grants, granted, Code::BadText, read, overlap::texts, report);
    }
    if let Some(resolve) = resolve {
        let lexical = word(resolve, &[("real", false), ("lexical", true)], report);
        policy.lexical = lexical.filter(|lexical| *lexical).map(|_| report.line(&resolve.span()));
    }
    if let Some(pin) = pin {
        policy.unpinned = (!pin.as_ref()).then(|| report.line(&pin.span()));
    }
    for (slot, written) in [
        (&mut policy.caller, caller),
        (&mut policy.socket, socket),
        (&mut policy.pin, pin),
        (&mut policy.isolate, isolate),
    ] {
        if let Some(written) = written {
            *slot = written.as_ref().then(|| report.line(&written.span()));
        }
    }
    if let Some(visible) = visible {
        let own = word(visible, &[("all", false), ("own", true)], report);
        policy.own_images = own.filter(|own| *own).map(|_| report.line(&visible.span()));
    }
    if let Some(cache) = cache {
        policy.cache = word(cache, CACHES, report).unwrap_or(policy.cache);
        if policy.isolate.is_none() {
            let problem = Problem::new(Code::NoEffect, cache.span(), "this key has no effect here");
            report.push(problem.label("owners have nothing of their own").help("say `isolate = true` in `[owner]`"));
        }
    }
    cleaning::add(&mut policy.cleaning, cleaning, report);
    let file::Share { networks, volumes, images } = share;
    let name = |word: &Spanned<String>| pattern::name(word.as_ref());
    grants::add_shared(&mut policy.share.networks, networks, Code::BadText, name, report);
    grants::add_shared(&mut policy.share.volumes, volumes, Code::BadText, name, report);
    let image = |word: &Spanned<String>| image::image(word.as_ref());
    grants::add_shared(&mut policy.share.images, images, Code::ImagePattern, image, report);
    fixed::add_limits(&mut policy.limits, limits, report);
    fixed::add_force(&mut policy.force, force, report);
    quota::add(&mut policy.quota, quota, report);
    for written in rules {
        if let Some(same) = policy.rules.iter().find(|rule| rule.id == *written.id.as_ref()) {
            let message = format!("a second rule has the id `{}`", same.id);
            let problem = Problem::new(Code::SameId, written.id.span(), message);
            report.push(problem.label(format!("the first one stands at {}", same.line)));
        }
        policy.rules.extend(rule::rule(written, report));
    }
}

/// One of a few words
fn word<T: Copy>(written: &Spanned<String>, known: &[(&'static str, T)], report: &mut Report) -> Option<T> {
    let found = known.iter().find(|(word, _)| word == written.as_ref()).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let problem =
            Problem::new(Code::UnknownWord, written.span(), format!("`{}` is not known here", written.as_ref()));
        report.push(problem.label(format!("expected {}", words.join(", "))).meant(written.as_ref(), words));
    }
    found
}

const CACHES: &[(&str, Cache)] = &[("own", Cache::Own), ("group", Cache::Group), ("shared", Cache::Shared)];
const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("warn", Mode::Warn), ("record", Mode::Record)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ask::{Flag, GrantKind};

    fn site(text: &str) -> Policy {
        compile("etc/site.toml", text).unwrap_or_else(|report| panic!("{report}"))
    }

    #[test]
    fn shipped_policies_compile_without_a_warning() {
        for (name, text) in shipped::ALL {
            let policy = compile(name, text).unwrap_or_else(|report| panic!("{report}"));
            assert!(policy.warnings.is_empty(), "{}", policy.warnings);
            assert_eq!(policy.name, *name);
        }
    }

    #[test]
    fn an_empty_file_grants_nothing() {
        let Policy { name, mode, operations, images, mounts, publish, flags, isolate, rules, .. } = site("");
        assert_eq!((name.as_str(), mode, isolate), ("site", Mode::Enforce, None));
        assert!(operations.allow.is_empty() && images.allow.is_empty() && mounts.allow.is_empty());
        assert!(publish.allow.is_empty() && flags.is_empty() && rules.is_empty());
    }

    #[test]
    fn lists_are_added_and_single_values_replace() {
        let ci = site("extends = 'ci'");
        let child = site(
            "extends = 'ci'\nmode = 'warn'\nforbid = ['exec']\n[owner]\nisolate = false\n[run]\nuser = false\ntmpfs = ['dev']\n",
        );
        assert_eq!((ci.name.as_str(), child.name.as_str()), ("site", "site"));
        assert_eq!((ci.mode, child.mode), (Mode::Enforce, Mode::Warn));
        assert!(ci.isolate.is_some() && child.isolate.is_none());
        assert_eq!(child.operations.allow.len(), ci.operations.allow.len());
        assert!(
            child
                .operations
                .forbid
                .iter()
                .any(|(name, line)| name.0 == "exec.start" && line.to_string() == "etc/site.toml:3")
        );
        assert!(child.operations.forbid.iter().any(|(name, line)| name.0 == "image.import" && &*line.file == "ci"));
        assert!(!ci.flags[&Flag::User].allow.is_empty() && child.flags[&Flag::User].allow.is_empty());
        let tmpfs: Vec<String> =
            child.flags[&Flag::Tmpfs].allow.iter().map(|(_, line)| line.file.to_string()).collect();
        assert_eq!(tmpfs, ["ci", "etc/site.toml"]);
    }

    #[test]
    fn the_cache_is_ones_own_unless_a_file_says_otherwise() {
        let cache = |text: &str| site(text).cache;
        assert_eq!((cache(""), cache("extends = 'ci'")), (Cache::Own, Cache::Own));
        assert_eq!(cache("extends = 'ci'\n[build]\ncache = 'group'"), Cache::Group);
        assert_eq!(cache("[owner]\nisolate = true\n[build]\ncache = 'shared'"), Cache::Shared);
        assert!(compile("x", "[owner]\nisolate = true\n[build]\ncache = 'all'").is_err());
        assert!(!site("[build]\ncache = 'group'").warnings.is_empty(), "without owners of their own it means nothing");
    }

    #[test]
    fn every_flag_can_be_written() {
        for flag in Flag::ALL {
            let (section, key) = (flag.section(), flag.key());
            let policy = site(&format!("[{section}]\n{key} = true"));
            assert!(policy.flags[flag].allow[0].0.0.is_match("any text"), "{flag:?}");
            let list = compile("x", &format!("[{section}]\n{key} = {{ allow = ['a*'], forbid = ['ab'] }}"));
            assert_eq!(list.is_ok(), flag.grant() == GrantKind::Patterns, "{flag:?}");
        }
    }

    #[test]
    fn limits_and_forced_values_keep_their_lines() {
        let Policy { limits, force, .. } = site(
            "[limits]\nmemory = '1GiB'\ncpus = 0.5\npids = 9\nulimits = { nofile = 7 }\n[force]\nuser = '1'\ncap_drop = ['cap_net_raw']\nno_new_privileges = true\nlabels = { a = 'b' }",
        );
        let shown = |slot: &Option<(i64, crate::policy::Line)>| slot.as_ref().map(|(value, line)| (*value, line.line));
        assert_eq!(shown(&limits.memory), Some((1 << 30, 2)));
        assert_eq!(shown(&limits.nano_cpus), Some((500_000_000, 3)));
        assert_eq!(shown(&limits.pids), Some((9, 4)));
        assert_eq!(limits.ulimits["nofile"].0, 7);
        assert_eq!(force.user.map(|(user, line)| (user, line.line)), Some(("1".to_owned(), 7)));
        assert_eq!(force.cap_drop[0].0, "NET_RAW");
        assert_eq!(force.no_new_privileges.map(|line| line.line), Some(9));
        assert_eq!(force.labels["a"].0, "b");
    }

    #[test]
    fn a_forbidden_path_is_forbidden_with_all_below_and_above() {
        let policy = site("[mounts]\nallow = [{ source = '/**', access = 'rw' }]\nforbid = ['/etc', '/home/*/.ssh']");
        let mount = |source: &str| crate::policy::ask::HostMount {
            source: source.to_owned(),
            access: crate::policy::ask::Access::ReadOnly,
            propagation: crate::policy::ask::Propagation::Private,
        };
        let touched = |source: &str| policy.mounts.forbid.iter().any(|(pattern, _)| pattern.touches(&mount(source)));
        for source in ["/etc", "/etc/shadow", "/", "/home", "/home/alice", "/home/alice/.ssh", "/home/alice/.ssh/id"] {
            assert!(touched(source), "{source}");
        }
        for source in ["/etcetera", "/home/alice/src", "/srv"] {
            assert!(!touched(source), "{source}");
        }
    }
}
