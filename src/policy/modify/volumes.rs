//! Volumes without a name, which get no labels but as mounts: so that they are their owner's too, they are asked for so.

use std::collections::BTreeSet;

use crate::api::bind::{BindSource, clean};
use crate::api::create::Create;
use crate::api::mount::CheckedMount;
use crate::policy::judge::Facts;

/// Asks for each volume without a name as a mount
///
/// What the image declares gives way to whatever else is mounted there, as on the engine (20.10 to 28.5).
pub(super) fn label(body: &mut Create, facts: &Facts) {
    let declared: Vec<String> = body.config.volumes.iter().flatten().map(|(path, _)| path.clone()).collect();
    let settings = &mut body.host_mut().settings;
    let mut taken: BTreeSet<String> = settings.tmpfs.iter().flatten().map(|(path, _)| clean(path)).collect();
    taken.extend(settings.mounts.iter().flatten().map(|mount| clean(&mount.get().target)));
    let mut wanted = Vec::new();
    for bind in settings.binds.iter_mut().flatten() {
        match bind.source {
            BindSource::Anonymous => wanted.push(bind.target.clone()),
            BindSource::Volume(_) | BindSource::Host(_) => drop(taken.insert(clean(&bind.target))),
        }
    }
    if let Some(binds) = &mut settings.binds {
        binds.retain(|bind| bind.source != BindSource::Anonymous);
    }
    // `--volumes-from` is stronger than what is declared, and weaker than what is bound.
    let over = |path: &String| !facts.taken.iter().any(|taken| clean(taken) == clean(path));
    let declared = declared.into_iter().chain(facts.image_volumes.iter().cloned()).filter(over);
    for target in wanted.into_iter().chain(declared) {
        // A declared path that is not absolute is the engine's to refuse.
        if target.starts_with('/') && taken.insert(clean(&target)) {
            let mount = CheckedMount::unnamed_volume(&target, &settings.volume_driver);
            settings.mounts.get_or_insert_default().push(mount);
        }
    }
}
