//! Messages of `containerd.services.content.v1.Content`: the blobs of a build's record, as its log and provenance.

use crate::message;

message! {
    /// `InfoRequest`
    pub struct Info {
        /// The blob
        1 "digest" => digest: String,
    }
}

message! {
    /// `ReadContentRequest`
    pub struct Read {
        /// The blob
        1 "digest" => digest: String,
        /// First byte
        2 "offset" => offset: i64,
        /// Bytes; 0 is all
        3 "size" => size: i64,
    }
}
