//! What is found in what an operation does not say itself: steps of a build, and lines of a Dockerfile.

use crate::api::image_ref::{ImageRef, Meaning, Named};
use crate::policy::ask::{Ask, Object};
use crate::policy::judge::RealName;

/// What was found
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Everything that is asked for, each thing once
    pub asks: Vec<Ask>,
    /// What images are called: with their digest, and without
    pub names: Vec<RealName>,
}

/// Both names of an image with a tag and a digest
pub fn real_name(image: &ImageRef, field: &str) -> Option<RealName> {
    let Meaning::Named(named @ Named { tag: Some(_), digest: Some(_), .. }) = image.meaning() else { return None };
    let bare = Named { digest: None, ..named.clone() };
    let names = vec![named.to_string(), bare.to_string()];
    let (given, field) = (image.given().to_owned(), field.to_owned());
    Some(RealName { object: Object::Image, field, given, names })
}
