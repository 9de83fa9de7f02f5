//! sockwarden: a policy proxy for the Docker Engine's socket.

pub mod api;
pub mod policy;
