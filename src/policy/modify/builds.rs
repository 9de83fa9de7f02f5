//! Builds and sessions of an owner, as they are known on the engine.

use crate::api::operation::Operation;
use crate::policy::ids::replace;
use crate::policy::judge::Facts;
use crate::policy::view::View;

/// Puts the ids on the engine in the place of the owner's, and parts its sessions' files from those of others
pub(super) fn give(view: &View, operation: &mut Operation, facts: &Facts) {
    replace(operation, |id| view.full(id));
    // A context of the same name, key and figures is taken for the one that the engine has already.
    if let (Operation::BuildSession(request), Some(cache)) = (operation, &facts.cache) {
        let key = &mut request.headers.shared_key;
        *key = format!("{cache}:{key}");
    }
}
