//! Volumes without a name, which get no labels but as mounts: so that they are their owner's too, they are asked for so.

use std::collections::BTreeSet;

use crate::api::bind::{BindSource, clean};
use crate::api::create::Create;
use crate::api::mount::CheckedMount;
use crate::policy::judge::Facts;
use crate::policy::modify::OWNER_LABEL;

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
            let mut mount = CheckedMount::unnamed_volume(&target, &settings.volume_driver);
            if let (Some(owner), Some(labels)) = (facts.stamp.get(OWNER_LABEL), mount.volume_labels_mut()) {
                labels.insert(OWNER_LABEL.to_owned(), owner.clone());
            }
            settings.mounts.get_or_insert_default().push(mount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::bind::HostPath;
    use crate::api::call::Call;
    use crate::api::credentials::RegistryHeaders;
    use crate::api::operation::Operation;
    use crate::policy::compile::compile;
    use crate::policy::modify::modify;
    use crate::policy::view::View;

    fn modified(body: &str, facts: Facts) -> String {
        let call = Call::read(&hyper::Method::POST, "/containers/create", None, RegistryHeaders::default()).unwrap();
        let policy = compile("x", "[owner]\nisolate = true").unwrap();
        let view = Some(View::new("job-7", "0123456789ab", "calm_otter1"));
        let stamp = [(OWNER_LABEL.to_owned(), "job-7".to_owned())].into();
        let (operation, _) = modify(&policy, call.operation(body.as_bytes()).unwrap(), &Facts { view, stamp, ..facts });
        let Operation::ContainerCreate(request) = operation else { panic!() };
        request.write().body.json().unwrap().to_string()
    }

    #[test]
    fn each_volume_without_a_name_is_a_mount_with_its_owner() {
        let body =
            r#"{"Image":"a","Volumes":{"/d":{},"/b/":{}},"HostConfig":{"Binds":["/b","x:/n"],"Tmpfs":{"/t":""}}}"#;
        let image_volumes = ["/d", "/t", "/n", "/i", "/from"].map(str::to_owned).to_vec();
        let sent = modified(body, Facts { image_volumes, taken: vec!["/from/".to_owned()], ..Facts::default() });
        assert!(sent.contains(r#""Binds":["x:/n"]"#), "{sent}");
        let labels = r#""VolumeOptions":{"Labels":{"com.docker.volume.anonymous":"","sockwarden.owner":"job-7"}}"#;
        let mounts: Vec<String> =
            ["/b", "/d", "/i"].map(|path| format!(r#"{{"Type":"volume","Target":"{path}",{labels}}}"#)).to_vec();
        assert!(sent.contains(&format!(r#""Mounts":[{}]"#, mounts.join(","))), "{sent}");
    }

    #[test]
    fn a_host_path_behind_a_volume_without_a_name_is_pinned_nevertheless() {
        let pinned = vec![("HostConfig.Binds[1]".to_owned(), HostPath::parse("/pins/1").unwrap())];
        let body = r#"{"Image":"a","HostConfig":{"Binds":["/anonymous","/srv:/srv:ro","/etc:/etc:ro"]}}"#;
        let sent = modified(body, Facts { pinned, ..Facts::default() });
        assert!(sent.contains(r#""Binds":["/pins/1:/srv:ro","/etc:/etc:ro"]"#), "{sent}");
    }
}
