//! An image archive on its way to the engine: the names in it are judged before the engine has the whole of it.
//!
//! The engine gives an image its names when it has read the archive to its end. What is refused breaks it off before the
//! part that names it, so nothing in it is kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio_util::task::AbortOnDropHandle;

use crate::answer::Refused;
use crate::api::archive::{ImageArchive, Named};
use crate::exchange::archive::Reading;
use crate::exchange::finding::Finding;
use crate::exchange::images::{Hold, Images};
use crate::owner::images::Making;
use crate::policy::ask::{Ask, What};
use crate::policy::asks::found::Found;
use crate::policy::images;
use crate::policy::judge::found::judge_names;

/// Holds the names in an archive against a policy, and records what comes of it
#[derive(Debug)]
pub struct JudgeOfNames {
    /// Records what was found
    pub finding: Finding,
    /// Longest file of names that is read, in bytes
    pub most: usize,
    /// Whose names are whose; none where they are everybody's
    pub images: Option<Images>,
    /// The names that were claimed
    pub claimed: Arc<Mutex<Vec<Making>>>,
}

impl JudgeOfNames {
    /// What the request holds of the names
    pub fn hold(&self) -> Hold {
        if self.images.is_some() { Hold::Loading(Arc::clone(&self.claimed)) } else { Hold::Nothing }
    }

    async fn judge(&self, names: Vec<Named>, missing: BTreeSet<String>) -> Result<(), Refused> {
        let made = names.iter().map(|Named { image, field }| (images::name(image), (*field).to_owned())).collect();
        let ask = |Named { image, field }| Ask { what: What::Image(image), field: field.to_owned() };
        let mut asks: Vec<Ask> = names.into_iter().map(ask).collect();
        let hold = match &self.images {
            Some(images) => images.make(made).await?,
            None => Ok(Hold::Nothing),
        };
        let hold = hold.unwrap_or_else(|taken| {
            asks.extend(taken);
            Hold::Nothing
        });
        let mut found = match &self.images {
            Some(images) if !missing.is_empty() => images.parts(&missing).await?,
            _ => Found::default(),
        };
        found.asks.extend(asks);
        let verdict = judge_names(&self.finding.policy, found);
        self.finding.settle("archive", &verdict, None)?;
        if let Some(images) = &self.images {
            hold.write_down(&images.ledger).await?;
        }
        if let (Hold::Making(mut making), Ok(mut claimed)) = (hold, self.claimed.lock()) {
            making.sent();
            claimed.push(making);
        }
        Ok(())
    }
}

/// The names in an archive
pub struct Load {
    archive: ImageArchive,
    judge: Arc<JudgeOfNames>,
}

impl Load {
    /// Has them judged by `judge`
    pub fn new(judge: JudgeOfNames) -> Self {
        Self { archive: ImageArchive::new(judge.most), judge: Arc::new(judge) }
    }
}

impl Reading for Load {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        Ok(self.archive.push(bytes, out)?)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Refused> {
        Ok(self.archive.finish(out)?)
    }

    fn verdict(&mut self) -> Option<AbortOnDropHandle<Result<(), Refused>>> {
        let (names, missing) = (self.archive.names(), self.archive.missing());
        if names.is_empty() && missing.is_empty() {
            return None;
        }
        let judge = Arc::clone(&self.judge);
        Some(AbortOnDropHandle::new(tokio::spawn(async move { judge.judge(names, missing).await })))
    }

    fn broken(&self, why: &'static str) -> Refused {
        Refused::Archive(why.to_owned())
    }
}
