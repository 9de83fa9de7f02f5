//! Registry credentials in headers: parsed, kept out of every log, and encoded anew.
//!
//! `X-Registry-Auth` holds one credential, `X-Registry-Config` one for each registry; both are JSON in URL-safe base64.
//! Keys come in lower case from the docker CLI and capitalised from docker-py's credential stores.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::api::buildkit::session::SessionHeaders;
use crate::api::create::Credentials;
use crate::api::json::Json;
use crate::api::object::{At, Value};
use crate::api::value::Plain;

/// Headers of a request that an operation may read
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryHeaders {
    /// `X-Registry-Auth`
    pub auth: Option<String>,
    /// `X-Registry-Config`
    pub config: Option<String>,
    /// `X-Docker-Expose-Session-…`, as of a build's session
    pub session: SessionHeaders,
}

/// What an operation reads of the headers
pub trait Headers: Sized {
    /// Reads it
    ///
    /// # Errors
    /// What is wrong with the header; never its value.
    fn read(headers: &RegistryHeaders) -> Result<Self, String>;

    /// The headers to send
    fn write(&self) -> Vec<(&'static str, String)>;
}

impl Headers for () {
    fn read(_: &RegistryHeaders) -> Result<Self, String> {
        Ok(())
    }

    fn write(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// `X-Registry-Auth`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Auth(pub Option<Credentials>);

impl Headers for Auth {
    fn read(headers: &RegistryHeaders) -> Result<Self, String> {
        let Some(json) = decode(headers.auth.as_deref(), AUTH)? else { return Ok(Self(None)) };
        let Plain(credentials) = Plain::read(lower_keys(json), &At::Body).map_err(|_| malformed(AUTH))?;
        // Members that say nothing are no credentials either.
        Ok(Self(Some(credentials).filter(|credentials| *credentials != Credentials::default())))
    }

    // Always there: engines up to 28.2 look for credentials in the body of a push that has no header, and fail on none.
    fn write(&self) -> Vec<(&'static str, String)> {
        let credentials = self.0.clone().unwrap_or_default();
        vec![(AUTH, CODEC.encode(Plain(credentials).write().to_bytes()))]
    }
}

/// `X-Registry-Config`: credentials by registry
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuthConfig(pub Option<BTreeMap<String, Plain<Credentials>>>);

impl Headers for AuthConfig {
    fn read(headers: &RegistryHeaders) -> Result<Self, String> {
        let json = match decode(headers.config.as_deref(), CONFIG)? {
            None => return Ok(Self(None)),
            Some(Json::Object(registries)) => {
                Json::Object(registries.into_iter().map(|(registry, json)| (registry, lower_keys(json))).collect())
            }
            Some(_) => return Err(malformed(CONFIG)),
        };
        Value::read(json, &At::Body).map(Self).map_err(|_| malformed(CONFIG))
    }

    fn write(&self) -> Vec<(&'static str, String)> {
        let registries = &self.0;
        registries.iter().map(|_| (CONFIG, CODEC.encode(registries.write().to_bytes()))).collect()
    }
}

impl AuthConfig {
    /// Those for a registry, as `docker.io` or `localhost:5000`, by the rules of the engine (moby `registry/auth.go`)
    pub fn of(&self, registry: &str) -> Auth {
        let key = if registry == DOCKER_HUB { DOCKER_HUB_KEY } else { registry };
        let all = self.0.as_ref();
        let host = |address: &str| {
            let bare = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://")).unwrap_or(address);
            bare.split('/').next() == Some(key)
        };
        let found = all.and_then(|all| {
            all.get(key).or_else(|| all.iter().find(|(address, _)| host(address)).map(|(_, credentials)| credentials))
        });
        Auth(found.map(|Plain(credentials)| credentials.clone()))
    }
}

/// The engine's own reading of the keys is case-insensitive
fn lower_keys(json: Json) -> Json {
    match json {
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect())
        }
        other => other,
    }
}

fn decode(header: Option<&str>, name: &str) -> Result<Option<Json>, String> {
    let Some(text) = header.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bytes = CODEC.decode(text).map_err(|_| malformed(name))?;
    let json = Json::parse(&bytes).map_err(|_| malformed(name))?;
    Ok(Some(json).filter(|json| !json.is_zero()))
}

fn malformed(name: &str) -> String {
    format!("header {name} is not URL-safe base64 of the JSON of credentials")
}

const DOCKER_HUB: &str = "docker.io";
/// What clients keep its credentials under
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
const AUTH: &str = "X-Registry-Auth";
const CONFIG: &str = "X-Registry-Config";
const CODEC: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_encoded_anew_and_garbage_is_refused_without_its_value() {
        let auth = Some(CODEC.encode(r#"{"Username":"u","Password":"secret"}"#));
        let read = Auth::read(&RegistryHeaders { auth, ..RegistryHeaders::default() }).unwrap();
        let (_, written) = read.write().remove(0);
        assert_eq!(CODEC.decode(written).unwrap(), br#"{"username":"u","password":"secret"}"#);

        let auth = Some(CODEC.encode(r#"{"registrytoken":null}"#));
        assert_eq!(Auth::read(&RegistryHeaders { auth, ..RegistryHeaders::default() }), Ok(Auth(None)));

        let auth = Some(CODEC.encode(r#"{"username":"u","username":"secret"}"#));
        let error = Auth::read(&RegistryHeaders { auth, ..RegistryHeaders::default() }).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_registry_gets_its_own_credentials_and_no_others() {
        let of = |user: &str| Plain(Credentials { username: user.to_owned(), ..Credentials::default() });
        let all = [
            ("https://index.docker.io/v1/", "hub"),
            ("r.example", "plain"),
            ("https://old.example/v1/", "old"),
            ("localhost:5000", "port"),
        ];
        let config = AuthConfig(Some(all.map(|(address, user)| (address.to_owned(), of(user))).into()));
        for (registry, user) in [
            ("docker.io", Some("hub")),
            ("r.example", Some("plain")),
            ("old.example", Some("old")),
            ("localhost:5000", Some("port")),
            ("localhost", None),
            ("index.docker.io", Some("hub")),
            ("evil.example", None),
        ] {
            let Auth(found) = config.of(registry);
            assert_eq!(found.map(|credentials| credentials.username).as_deref(), user, "{registry}");
        }
        assert_eq!(AuthConfig(None).of("r.example"), Auth(None));
    }
}
