//! What an owner is shown of builds: its own records, and its own ids without the suffix.
//!
//! Bytes are not enough here: texts stand in messages with their length before them.

use base64::Engine as _;
use base64::engine::general_purpose::NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use bytes::Bytes;

use crate::api::buildkit::bridge::RpcStatus;
use crate::api::buildkit::history::Event;
use crate::api::buildkit::status::Progress;
use crate::api::message::{read_message, write_message};
use crate::api::object::Malformed;
use crate::policy::view::View;
use crate::shown::strip::stripped;

/// An event of a build that is the owner's own
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEvent {
    /// As the owner sees it
    pub message: Bytes,
    /// Digests of the blobs that belong to the build
    pub blobs: Vec<String>,
}

/// An event of the history, if it is about a build of the owner's own
///
/// # Errors
/// When it is not understood, so that nobody knows whose it is.
pub fn event(view: &View, message: Bytes) -> Result<Option<OwnEvent>, Malformed> {
    let mut event: Event = read_message(message)?;
    let Some(record) = event.record.as_mut().filter(|record| view.owns(&record.reference)) else { return Ok(None) };
    let blobs = record.blobs().map(str::to_owned).collect();
    record.reference = view.short(&record.reference).to_owned();
    record.frontend_attrs.values_mut().chain(record.exporter_response.values_mut()).for_each(|text| plain(view, text));
    if let Some(error) = &mut record.error {
        plain_error(view, error);
    }
    Ok(Some(OwnEvent { message: write_message(&event).into(), blobs }))
}

/// News of one of the owner's own builds; what is not understood stays as it is
pub fn progress(view: &View, message: Bytes) -> Bytes {
    if !says(view, &message) {
        return message;
    }
    let Ok(mut progress) = read_message::<Progress>(message.clone()) else { return message };
    for vertex in &mut progress.vertexes {
        plain(view, &mut vertex.name);
        plain(view, &mut vertex.error);
    }
    progress.statuses.iter_mut().for_each(|status| plain(view, &mut status.name));
    write_message(&progress).into()
}

/// The text of an error, percent-encoded or not: no letter of a suffix is ever encoded
pub fn error_text(view: &View, text: &str) -> String {
    text.replace(view.suffix(), "")
}

/// The details of an error, in base64 as they stand in a header; none where they are not understood
pub fn error_details(view: &View, details: &[u8]) -> Option<String> {
    let bytes = BASE64.decode(details).ok()?;
    if !says(view, &bytes) {
        return String::from_utf8(details.to_vec()).ok();
    }
    let mut status: RpcStatus = read_message(bytes.into()).ok()?;
    plain_error(view, &mut status);
    Some(BASE64.encode(write_message(&status)))
}

fn plain_error(view: &View, error: &mut RpcStatus) {
    plain(view, &mut error.message);
    // Most are JSON, as the stack of the error; others hold no ids.
    for detail in error.details.iter_mut().filter(|detail| detail.value.starts_with(b"{")) {
        detail.value = stripped(view.suffix(), &detail.value).into();
    }
}

fn plain(view: &View, text: &mut String) {
    if text.contains(view.suffix()) {
        *text = error_text(view, text);
    }
}

fn says(view: &View, bytes: &[u8]) -> bool {
    let suffix = view.suffix().as_bytes();
    bytes.windows(suffix.len()).any(|window| window == suffix)
}

/// As gRPC writes what is binary, which reads it with padding as well
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::buildkit::bridge::Any;
    use crate::api::buildkit::history::{Descriptor, Record, ResultInfo, ResultOf};
    use crate::api::buildkit::status::Vertex;

    fn view() -> View {
        View::new("job-7", "0123456789ab", "calm_otter1")
    }

    fn blob(digest: &str) -> Option<Descriptor> {
        Some(Descriptor { digest: digest.to_owned(), ..Descriptor::default() })
    }

    fn of(reference: &str) -> Bytes {
        let result = ResultInfo {
            result_deprecated: blob("b"),
            attestations: blob("c").into_iter().collect(),
            results: vec![ResultOf { exporter: 0, result: blob("d") }],
        };
        let record = Record {
            reference: reference.to_owned(),
            logs: blob("a"),
            result: Some(result.clone()),
            results: [("linux/amd64".to_owned(), ResultInfo { result_deprecated: blob("e"), ..result })].into(),
            trace: blob("f"),
            external_error: blob("g"),
            error: Some(RpcStatus { message: "no job abc--sw0123456789ab".to_owned(), ..RpcStatus::default() }),
            ..Record::default()
        };
        write_message(&Event { kind: 1, record: Some(record) }).into()
    }

    #[test]
    fn a_record_of_ones_own_is_shown_by_its_own_name_with_all_that_belongs_to_it() {
        let OwnEvent { message, mut blobs } = event(&view(), of("abc--sw0123456789ab")).unwrap().unwrap();
        let record = read_message::<Event>(message).unwrap().record.unwrap();
        assert_eq!((record.reference.as_str(), record.error.unwrap().message.as_str()), ("abc", "no job abc"));
        blobs.sort_unstable();
        blobs.dedup();
        assert_eq!(blobs, ["a", "b", "c", "d", "e", "f", "g"]);
    }

    #[test]
    fn of_anybody_elses_builds_nothing_is_shown() {
        for reference in ["abc", "abc--sw0123456789ac", "", "--sw0123456789ab", "x--sw0123456789ac--sw0123456789ab"] {
            assert_eq!(event(&view(), of(reference)).unwrap(), None, "{reference}");
        }
        assert_eq!(event(&view(), Bytes::new()).unwrap(), None);
        assert!(event(&view(), Bytes::from_static(b"\xf8\x3f\x01")).is_err(), "what is not understood is nobody's");
    }

    #[test]
    fn news_and_errors_are_told_without_the_suffix() {
        let said = "no active session for abc--sw0123456789ab: context deadline exceeded";
        let vertex = Vertex { error: said.to_owned(), ..Vertex::default() };
        let news = write_message(&Progress { vertexes: vec![vertex], ..Progress::default() });
        let news: Progress = read_message(progress(&view(), news.into())).unwrap();
        assert_eq!(news.vertexes[0].error, "no active session for abc: context deadline exceeded");
        assert_eq!(error_text(&view(), said), "no active session for abc: context deadline exceeded");

        let json = Any { type_url: "x".to_owned(), value: Bytes::from_static(b"{\"id\":\"abc--sw0123456789ab\"}") };
        let status = RpcStatus { code: 2, message: said.to_owned(), details: vec![json] };
        let details = error_details(&view(), BASE64.encode(write_message(&status)).as_bytes()).unwrap();
        let status: RpcStatus = read_message(BASE64.decode(details).unwrap().into()).unwrap();
        assert_eq!(status.message, "no active session for abc: context deadline exceeded");
        assert_eq!(&*status.details[0].value, b"{\"id\":\"abc\"}");
        let padded = base64::prelude::BASE64_STANDARD.encode("anything");
        assert_eq!(error_details(&view(), padded.as_bytes()), Some(padded.clone()), "what says nothing stays");
        let unknown = BASE64.encode("\u{1}--sw0123456789ab");
        assert_eq!(error_details(&view(), unknown.as_bytes()), None);
    }
}
