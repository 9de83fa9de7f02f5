//! So many builds at a time that the engine has no room for anybody else's.

use super::{ALL, Attempt, GoesWell as _, Sides};
use crate::engines::buildkit::build::{Build, built};
use crate::engines::buildkit::session::Offer;
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play_within(engine, &format!("[limits]\nrequests_per_owner = {ROOM}\n"), async |play| {
        play.attack("one more build than there is room for", ALL, "`requests_per_owner`", async |sides: &Sides| {
            let mut running = Vec::new();
            let end = loop {
                if running.len() > ROOM / PLACES {
                    break Ok(());
                }
                match Build::start(&sides.attacker, &Offer::default()).await {
                    Ok(build) => running.push(build),
                    Err(reply) => break Err(reply),
                }
            };
            // While they run.
            plain(sides).await?;
            Ok(end?)
        })
        .await;
    })
}

/// Whatever an attacker takes is its own room
async fn plain(sides: &Sides) -> Attempt {
    let offer = Offer::dockerfile("FROM busybox:test\nCOPY file /file\n").file("file", &sides.word);
    built(&sides.victim, &offer, &[], "/file").await.goes_well("the victim's build").map(|_| ())
}

/// Requests of one owner
const ROOM: usize = 12;
/// What a running build has of them: a connection, a session, and the call that is its job
const PLACES: usize = 3;
