//! An image's configuration, which a frontend returns with its result: read for its labels, written with others.
//!
//! The engine matches its keys under case folding and merges equal ones, so `config` and `Labels` stand once and are
//! spelled so. All else is nobody's business here, and stays.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::api::json::Json;
use crate::api::object::fold;

/// Whether the metadata of a result under this key is an image's configuration, of one platform or of the only one
pub fn is_config(key: &str) -> bool {
    key.strip_prefix("containerimage.config").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Puts labels into a configuration, and takes away those that begin with `reserved`
///
/// # Errors
/// When the configuration has two readings, or none.
pub fn labelled(config: &[u8], reserved: &str, labels: &BTreeMap<&str, &str>) -> Result<Bytes, String> {
    let mut image = Json::parse(config)?;
    let config = place(&mut image, "config")?;
    let kept = place(config, "Labels")?;
    let Json::Object(members) = kept else { return Err("`Labels` is no object".to_owned()) };
    members.retain(|(key, _)| !key.trim().to_ascii_lowercase().starts_with(reserved));
    members.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), Json::Text((*value).to_owned()))));
    Ok(image.to_bytes().into())
}

/// The object that is a member, made where there is none
fn place<'a>(json: &'a mut Json, key: &str) -> Result<&'a mut Json, String> {
    let Json::Object(members) = json else { return Err(format!("what holds `{key}` is no object")) };
    let spelled = |(name, _): &&(String, Json)| fold(name) == fold(key);
    match members.iter().filter(spelled).map(|(name, _)| name.as_str()).collect::<Vec<_>>().as_slice() {
        [] => members.push((key.to_owned(), Json::Null)),
        [name] if *name == key => {}
        _ => return Err(format!("`{key}` stands there otherwise, or several times")),
    }
    let value = json.member_mut(key).ok_or("it is gone")?;
    if *value == Json::Null {
        *value = Json::Object(Vec::new());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(config: &str) -> Result<String, String> {
        let labels = BTreeMap::from([("sockwarden.owner", "me")]);
        let written = super::labelled(config.as_bytes(), "sockwarden.", &labels)?;
        Ok(String::from_utf8(written.to_vec()).unwrap())
    }

    #[test]
    fn an_image_is_its_owners_whatever_its_configuration_says() {
        for (config, expected) in [
            ("{}", r#"{"config":{"Labels":{"sockwarden.owner":"me"}}}"#),
            (r#"{"os":"linux","config":null}"#, r#"{"os":"linux","config":{"Labels":{"sockwarden.owner":"me"}}}"#),
            (
                r#"{"config":{"Cmd":["a"],"Labels":{"a":"b","sockwarden.owner":"you","sockwarden.memory":"1"," SockWarden.x":""}},"history":[{"created":"x"}]}"#,
                r#"{"config":{"Cmd":["a"],"Labels":{"a":"b","sockwarden.owner":"me"}},"history":[{"created":"x"}]}"#,
            ),
        ] {
            assert_eq!(labelled(config).as_deref(), Ok(expected), "{config}");
        }
    }

    #[test]
    fn a_configuration_with_two_readings_is_none() {
        for config in [
            "",
            "[]",
            "{}{}",
            r#"{"config":{},"Config":{"Labels":{"sockwarden.owner":"you"}}}"#,
            r#"{"Config":{}}"#,
            r#"{"config":{},"config":{}}"#,
            "{\"con\u{66}ig\":{\"label\u{17f}\":{}}}",
            r#"{"config":{"Labels":{},"labels":{"sockwarden.owner":"you"}}}"#,
            r#"{"config":{"Labels":[]}}"#,
            r#"{"config":[]}"#,
        ] {
            assert!(labelled(config).is_err(), "{config}");
        }
    }

    #[test]
    fn the_configuration_of_each_platform_is_one() {
        for key in ["containerimage.config", "containerimage.config/linux/amd64"] {
            assert!(is_config(key), "{key}");
        }
        for key in ["containerimage.config.digest", "containerimage.base.config", "refs.platforms"] {
            assert!(!is_config(key), "{key}");
        }
    }
}
