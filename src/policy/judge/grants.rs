//! One ask held against the lines of a policy: the line that grants it, or why none does and the way out.

use crate::api::image_ref::{ImageRef, Meaning, Named};
use crate::policy::ask::{Flag, GrantKind, What};
use crate::policy::judge::Refusal;
use crate::policy::remote;
use crate::policy::{Effect, Fact, Grants, Line, Mode, OperationPattern, Policy, Rule, TextPattern};

/// Whether a policy allows an operation at all; what it asks for is another question
pub fn may(policy: &Policy, name: &str) -> bool {
    policy.mode != Mode::Enforce || operation_granted(policy, name, &[]).is_ok()
}

pub(in crate::policy) fn operation_granted(
    policy: &Policy,
    name: &str,
    named: &[(Fact, String)],
) -> Result<Line, Refusal> {
    let hit = |pattern: &OperationPattern| pattern.0 == name;
    let way_out = format!("add it to `allow`; policy `{}` allows what it names only", policy.name);
    let by_list = decide(&policy.operations, hit, hit, &way_out);
    match by_list {
        Err(Refusal { line: None, why }) => {
            let allowing = |rule: &&Rule| rule.effect == Effect::Allow && matches(rule, name, named);
            let by_rule = policy.rules.iter().find(allowing).map(|rule| rule.line.clone());
            by_rule.or_else(|| prune_granted(policy, name)).ok_or(Refusal { line: None, why })
        }
        decided => decided,
    }
}

/// Where a prune takes away the owner's own alone, who may remove one by one may prune
fn prune_granted(policy: &Policy, name: &str) -> Option<Line> {
    let one = match name {
        "container.prune" => "container.remove",
        "network.prune" => "network.remove",
        "volume.prune" => "volume.remove",
        "image.prune" => "image.remove",
        "build.prune" => "build.build",
        "build.cache.prune" => "build.solve",
        _ => return None,
    };
    let hit = |pattern: &OperationPattern| pattern.0 == one;
    policy.gives_views().then(|| decide(&policy.operations, hit, hit, "").ok()).flatten()
}

pub(in crate::policy) fn forbidding_rules<'a>(
    policy: &'a Policy,
    name: &'a str,
    named: &'a [(Fact, String)],
) -> impl Iterator<Item = &'a Rule> {
    policy.rules.iter().filter(move |rule| rule.effect == Effect::Forbid && matches(rule, name, named))
}

pub(in crate::policy) fn matches(rule: &Rule, operation: &str, named: &[(Fact, String)]) -> bool {
    rule.operations.contains(&operation)
        && rule.when.iter().all(|(fact, regex)| named.iter().any(|(name, value)| name == fact && regex.is_match(value)))
}

/// One allowed name is enough, and so is one forbidden name; an id of an image with names comes after them
pub(in crate::policy) fn image_granted(policy: &Policy, names: &[String]) -> Result<Line, Refusal> {
    let way_out = "use an image that `[images] allow` names, or have the registry added there";
    let any = |holds: &dyn Fn(&String) -> bool| names.iter().any(holds);
    decide(
        &policy.images,
        |pattern| !(pattern.nameless && names.len() > 1) && any(&|name| pattern.matches(name)),
        |pattern| any(&|name| pattern.touches(name)),
        way_out,
    )
}

/// Whether some tag of the image may be a frontend
pub(in crate::policy) fn is_frontend(policy: &Policy, image: &ImageRef) -> bool {
    let Meaning::Named(Named { repository, .. }) = image.meaning() else { return false };
    policy.frontends.allow.iter().any(|(pattern, _)| pattern.repository.is_match(repository))
}

pub(in crate::policy) fn granted(policy: &Policy, what: &What) -> Result<Line, Refusal> {
    match what {
        What::Operation(name) => operation_granted(policy, name, &[]),
        What::Image(image) => image_granted(policy, &[image.to_string()]),
        What::Registry(host) => {
            let image = format!("{}/x:latest", if host.is_empty() { "docker.io" } else { host });
            let way_out = "use a registry that `[images] allow` names";
            // Some forbidden images do not make a forbidden registry.
            decide(&policy.images, |pattern| pattern.matches_registry(&image), |pattern| pattern.matches(&image), way_out)
        }
        What::Frontend(image) => {
            let way_out = "leave BUILDKIT_SYNTAX, --sbom and the like out; BuildKit reads Dockerfiles by itself; \
                or have the image named by `frontends` in `[build]`";
            let image = image.to_string();
            decide(&policy.frontends, |pattern| pattern.matches(&image), |pattern| pattern.touches(&image), way_out)
        }
        What::Shadow(_) => Err(Refusal { line: None, why: "give the build context another name".to_owned() }),
        What::Layout => Err(Refusal {
            line: policy.isolate.clone(),
            why: "the engine would take what it has already from whoever brought it; load the image, or build from a registry"
                .to_owned(),
        }),
        What::Raw(_) => Err(Refusal {
            line: None,
            why: "no policy grants this; build with `docker build`, buildx, bake or Compose".to_owned(),
        }),
        What::Elsewhere("cgroup", _) => Err(Refusal {
            line: policy.quota.cgroup.clone(),
            why: "this engine cannot run steps in the owner's cgroup; build with DOCKER_BUILDKIT=0".to_owned(),
        }),
        What::Elsewhere(..) => {
            Err(Refusal { line: policy.isolate.clone(), why: "use what was made through this socket".to_owned() })
        }
        What::Mount(mount) => {
            let way_out = "use a named volume or docker cp, or have the path added to `[mounts] allow`";
            decide(&policy.mounts, |pattern| pattern.grants(mount), |pattern| pattern.touches(mount), way_out)
        }
        What::Publish(publish) => {
            let way_out = "publish an ephemeral port (-p CONTAINER_PORT), or one that `[run] publish` names";
            decide(&policy.publish, |pattern| pattern.grants(publish), |pattern| pattern.touches(publish), way_out)
        }
        What::Flag(flag, value) => {
            let empty = Grants::default();
            let grants = policy.flags.get(flag).unwrap_or(&empty);
            let met = |pattern: &TextPattern| pattern.0.is_match(value);
            let covered = |pattern: &TextPattern| match flag {
                Flag::Remote => remote::covers(pattern, value),
                _ => met(pattern),
            };
            decide(grants, covered, met, &way_out(*flag))
        }
        What::Builder => granted(policy, &What::Flag(Flag::Privileged, "true".to_owned())).map_err(|refusal| {
            let why = "use the default builder (`docker buildx use default`), or a remote builder that an operator runs";
            Refusal { why: why.to_owned(), ..refusal }
        }),
        What::SecondBuild => Err(Refusal {
            line: None,
            why: "what a policy says of a build cannot be put into it; use buildx (package docker-buildx or \
                  docker-buildx-plugin), or DOCKER_BUILDKIT=0 for the classic builder".to_owned(),
        }),
        What::FetchedContext(_) => Err(Refusal {
            line: None,
            why: "its Dockerfile would not be seen; send the context yourself, or build with BuildKit \
                  (`docker buildx build`)".to_owned(),
        }),
        What::Unread(_) => Err(Refusal {
            line: None,
            why: "write it plainly, or build with BuildKit (`docker buildx build`), which says what it fetches".to_owned(),
        }),
        What::Foreign(object, _) => Err(Refusal {
            line: policy.isolate.clone(),
            why: format!("touch only the {}s that were made through this socket", object.as_str()),
        }),
        What::Borrowed(object, _) => Err(Refusal {
            line: policy.isolate.clone(),
            why: format!("do this to {}s of your own only", object.as_str()),
        }),
        What::Taken(..) => Err(Refusal {
            line: policy.isolate.clone(),
            why: "use a name of your own, such as one with the job's number in its tag".to_owned(),
        }),
        What::ReservedLabel(_) => {
            Err(Refusal { line: None, why: "leave out labels that begin with `sockwarden.`".to_owned() })
        }
        What::Protected { .. } => {
            Err(Refusal { line: None, why: "no policy grants this; use a named volume or docker cp".to_owned() })
        }
        What::Unclear { .. } => Err(Refusal { line: None, why: "name a path that leads to one certain place".to_owned() }),
        What::Unseen { .. } => policy.lexical.clone().ok_or_else(|| Refusal {
            line: None,
            why: "run sockwarden where it sees the engine's files, or judge by name with `resolve = \"lexical\"` in `[mounts]`".to_owned(),
        }),
        What::Quota(more) => {
            let line = policy.quota.most.get(&more.resource).map(|(_, line)| line.clone());
            line.clone().filter(|_| more.fits()).ok_or(Refusal { line, why: "remove some first".to_owned() })
        }
        What::Raise { resource, .. } => Err(Refusal {
            line: policy.quota.most.get(resource).map(|(_, line)| line.clone()),
            why: "make a new container".to_owned(),
        }),
        What::Odd(..) => Err(Refusal { line: None, why: "write it plainly; no policy grants this".to_owned() }),
    }
}

fn way_out(flag: Flag) -> String {
    let value = if flag.grant() == GrantKind::Switch { " = true" } else { "" };
    format!("{}, or have it allowed by `{}{value}` in `[{}]`", flag.hint(), flag.key(), flag.section())
}

/// Forbid beats allow, in any order; nothing is allowed that no line allows
///
/// What is allowed must be covered by a pattern; what is forbidden need only meet one.
fn decide<P>(
    grants: &Grants<P>,
    covered: impl Fn(&P) -> bool,
    met: impl Fn(&P) -> bool,
    way_out: &str,
) -> Result<Line, Refusal> {
    if let Some((_, line)) = grants.forbid.iter().find(|(pattern, _)| met(pattern)) {
        return Err(Refusal { line: Some(line.clone()), why: way_out.to_owned() });
    }
    let allowed = grants.allow.iter().find(|(pattern, _)| covered(pattern));
    allowed.map(|(_, line)| line.clone()).ok_or_else(|| Refusal { line: None, why: way_out.to_owned() })
}
