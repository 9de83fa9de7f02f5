//! The smallest BuildKit client that hides nothing: messages are bytes here, and every id is the test's to choose.
//!
//! It shares no line with the product: what both read the same way was read twice.

pub mod build;
pub mod client;
pub mod files;
pub mod llb;
pub mod message;
pub mod session;
