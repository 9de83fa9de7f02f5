//! The head of a request: what of it is read, and what makes it unreadable.

use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
    UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Request, Version};

use crate::answer::Refused;
use crate::api::buildkit::session::{HEALTH_TIMEOUT, METHOD, NAME, SHARED_KEY, SessionHeaders, UUID};
use crate::api::call::Call;
use crate::api::credentials::RegistryHeaders;

/// Reads method, target and the few headers that have a meaning
///
/// # Errors
/// When the head can be read in two ways, or leads to no open operation.
pub fn read(parts: &Parts, target_bytes: usize) -> Result<Call, Refused> {
    let Parts { method, uri, headers, .. } = parts;
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Err(Refused::Header("the request target must be a path, not a URL or an authority"));
    }
    if uri.path_and_query().is_some_and(|target| target.as_str().len() > target_bytes) {
        return Err(Refused::TargetTooLong { limit: target_bytes });
    }
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, AUTH, CONFIG] {
        if headers.get_all(name).iter().count() > 1 {
            return Err(Refused::Header("a header that may stand once stands several times"));
        }
    }
    let (auth, config, session) = (text(headers, AUTH)?, text(headers, CONFIG)?, session(headers)?);
    let call = Call::read(method, uri.path(), uri.query(), RegistryHeaders { auth, config, session })?;
    // The engine merges a form body into the query and lets it win (20.10 to 28.5). Other types have no meaning here, also
    // when bollard sends two: the engine gets ours.
    let form = |value: &HeaderValue| {
        let media_type = String::from_utf8_lossy(value.as_bytes()).trim_start().to_ascii_lowercase();
        ["application/x-www-form-urlencoded", "multipart/"].iter().any(|form| media_type.starts_with(form))
    };
    if headers.get_all(CONTENT_TYPE).iter().any(form) {
        return Err(Refused::Header("a form body would change the query; send JSON or a tar archive"));
    }
    if text(headers, TRANSFER_ENCODING)?.is_some_and(|coding| !coding.eq_ignore_ascii_case("chunked")) {
        return Err(Refused::Header("the only Transfer-Encoding is `chunked`"));
    }
    if text(headers, EXPECT)?.is_some_and(|expected| !expected.eq_ignore_ascii_case("100-continue")) {
        return Err(Refused::Header("the only expectation that can be met is `100-continue`"));
    }
    // docker-py says so of a context that is compressed; the engine, as we do, looks at the bytes.
    let packed = |encoding: &str| encoding == "gzip" && call.route.endpoint.name == "build.build";
    let plain = |encoding: &str| matches!(encoding, "" | "identity") || packed(encoding);
    if text(headers, CONTENT_ENCODING)?.is_some_and(|encoding| !plain(&encoding)) {
        return Err(Refused::Header("the engine decodes no Content-Encoding; send the body as it is"));
    }
    Ok(call)
}

/// The headers of a build's session, each of which stands once but for the methods
///
/// # Errors
/// When one stands several times, or is no text.
pub fn session(headers: &HeaderMap) -> Result<SessionHeaders, Refused> {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let (value, again) = (values.next(), values.next());
        if again.is_some() {
            return Err(Refused::Header("a header of the session stands several times"));
        }
        value.map(plain).transpose()
    };
    Ok(SessionHeaders {
        uuid: only(UUID)?,
        name: only(NAME)?,
        shared_key: only(SHARED_KEY)?,
        methods: headers.get_all(METHOD).iter().map(plain).collect::<Result<_, _>>()?,
        health_timeout: only(HEALTH_TIMEOUT)?,
    })
}

/// Whether the client is ready to leave HTTP; the engine too looks at the header's presence only
///
/// HTTP/1.0 knows no 101: such a client gets the output as a body.
pub fn wants_upgrade<T>(request: &Request<T>) -> bool {
    request.version() == Version::HTTP_11 && request.headers().contains_key(UPGRADE)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<String>, Refused> {
    headers.get(name).map(plain).transpose()
}

fn plain(value: &HeaderValue) -> Result<String, Refused> {
    value.to_str().map(str::to_owned).map_err(|_| Refused::Header("a header's value is not plain text"))
}

const AUTH: HeaderName = HeaderName::from_static("x-registry-auth");
const CONFIG: HeaderName = HeaderName::from_static("x-registry-config");
