//! How a call is refused: one head that ends the stream, or the trailers of an answer that was begun.

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::answer::{Refused, grpc_code};
use crate::exchange::Exchange;
use crate::stream::End;

/// An answer that is refused
pub struct Refusal {
    /// Why
    pub refused: Refused,
    /// Where its trailers go when the client has got the head of an answer already
    pub stream: Option<SendStream<Bytes>>,
    /// The end of its record, where it was recorded before
    pub end: Option<End>,
}

impl From<Refused> for Box<Refusal> {
    fn from(refused: Refused) -> Self {
        Self::new(Refusal { refused, stream: None, end: None })
    }
}

impl Exchange {
    /// Answers a refusal and records it
    pub(super) fn refuse_call(&mut self, refusal: Box<Refusal>, respond: &mut SendResponse<Bytes>) {
        let Refusal { refused, stream, end } = *refusal;
        if end.is_some() {
            self.end = end;
        }
        let code = grpc_code(&refused);
        if let Some(end) = &mut self.end {
            end.grpc(Some(code.into()));
        }
        let (_, message) = self.note(&refused);
        let trailers = trailers(code, &message);
        // Not reset afterwards: that would take the place of the message.
        let _ = match stream {
            Some(mut stream) => stream.send_trailers(trailers),
            None => {
                let mut response = own_head();
                response.headers_mut().extend(trailers);
                respond.send_response(response, true).map(drop)
            }
        };
    }

    /// Answers and records a request of HTTP/2 that is no call, in the engine's shape of an error
    pub(super) fn refuse_request(&mut self, refused: &Refused, respond: &mut SendResponse<Bytes>) {
        let (status, message) = self.note(refused);
        let body = Bytes::from(serde_json::json!({ "message": message }).to_string() + "\n");
        let mut response = Response::new(());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let _ = respond.send_response(response, false).and_then(|mut stream| stream.send_data(body, true));
    }
}

/// The head of an answer of our own
pub fn own_head() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The trailers of a refusal
fn trailers(code: u16, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    let mut text = String::new();
    for byte in message.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f..=0xff => text.push_str(&format!("%{byte:02X}")),
            plain => text.push(char::from(plain)),
        }
    }
    if let Ok(text) = HeaderValue::try_from(text) {
        trailers.insert("grpc-message", text);
    }
    trailers
}
