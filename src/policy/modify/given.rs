//! What the caller has itself, or our socket, put where the client named it.

use crate::api::bind::HostPath;
use crate::api::create::{Create, Slot};
use crate::api::mount::CheckedMount;
use crate::api::operation::Operation;
use crate::api::request::{JsonBody, Request};
use crate::policy::Policy;
use crate::policy::given::{Given, Means};
use crate::policy::modify::Changes;

/// Takes away what the caller does not have itself, and names the host paths that stand in the operation already
pub(super) fn lower(policy: &Policy, operation: &mut Operation, given: &[Given], changes: &mut Changes) {
    for given in given {
        let lowered = given.is_lowered(policy, operation);
        let sent = operation.host_paths().into_iter().find(|(field, _)| *field == given.field).map(|(_, path)| path);
        let Some(slot) = slot(operation, given) else { continue };
        let Given { field, asked, means } = given;
        if let (Means::Path { .. }, Some(sent)) = (means, sent.filter(|sent| sent != asked)) {
            changes.add(field, asked, sent, given.line(policy));
        }
        if lowered {
            changes.add(field, "rw", "ro", given.line(policy));
        }
        match slot {
            Slot::Bind(bind) if lowered => bind.make_read_only(),
            Slot::Bind(_) => {}
            Slot::Mount(mount) => {
                mount.make_nothing();
                if lowered {
                    mount.make_read_only();
                }
            }
        }
    }
}

/// Puts volumes and sockets in their places; comes last, as a bind that becomes a mount moves those behind it
pub(super) fn replace(policy: &Policy, operation: &mut Operation, given: &[Given], changes: &mut Changes) {
    for given in given.iter().rev() {
        let Given { field, asked, means } = given;
        match means {
            Means::Path { .. } => {}
            Means::Socket(ours) => {
                changes.add(field, asked, ours, given.line(policy));
                socket(slot(operation, given), ours);
            }
            Means::Volume { name, subpath, .. } => {
                let part = if subpath.is_empty() { String::new() } else { format!(", {subpath} in it") };
                changes.add(field, asked, format!("volume {name}{part}"), given.line(policy));
                match slot(operation, given) {
                    Some(Slot::Bind(bind)) if subpath.is_empty() => bind.set_volume(name),
                    Some(Slot::Mount(mount)) => mount.set_volume(name, subpath),
                    // `Binds` have no words for a part of a volume.
                    Some(Slot::Bind(_)) => {
                        let Some(body) = body(operation) else { continue };
                        let Some(bind) = body.take_bind(field) else { continue };
                        let mount = CheckedMount::of_volume(name, subpath, &bind.target, bind.is_read_only());
                        body.host_mut().settings.mounts.get_or_insert_default().push(mount);
                    }
                    None => {}
                }
            }
        }
    }
}

fn socket(slot: Option<Slot<'_>>, ours: &HostPath) {
    match slot {
        Some(Slot::Bind(bind)) => bind.set_socket(ours),
        Some(Slot::Mount(mount)) => mount.set_socket(ours),
        None => {}
    }
}

fn slot<'a>(operation: &'a mut Operation, given: &Given) -> Option<Slot<'a>> {
    body(operation)?.host_path_slot(&given.field)
}

fn body(operation: &mut Operation) -> Option<&mut Create> {
    match operation {
        Operation::ContainerCreate(Request { body: JsonBody(body), .. }) => Some(body),
        _ => None,
    }
}
