//! Ids of builds and sessions: whoever says another's as it is on the engine would reach what it names.

use crate::api::operation::Operation;
use crate::policy::ask::What;
use crate::policy::asks::Asks;
use crate::policy::ids::{self, Kind};
use crate::policy::view::is_reserved;

pub(super) fn ids(operation: &Operation, asks: &mut Asks) {
    for id in ids::ids(operation) {
        if !id.is_plain() || is_reserved(&id.id) {
            let kind = match id.of {
                Kind::Build => "build id",
                Kind::Session => "session id",
            };
            asks.add(What::Odd(kind, id.id), id.field);
        }
    }
}
