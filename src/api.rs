//! The Engine API as the engine really reads it, as a closed and typed world.
//!
//! A request's head becomes a [`target::Target`], [`route::route`] names the operation, [`operation::Operation`] holds
//! everything it asks for, and [`call`] builds from that what the engine gets. Nothing here does I/O, waits, or knows of
//! policies.

pub mod archive;
pub mod bind;
pub mod build;
pub mod buildkit;
pub mod call;
pub mod closed;
pub mod context;
pub mod create;
pub mod credentials;
pub mod dockerfile;
pub mod endpoint;
pub mod host_config;
pub mod image_ref;
pub mod json;
pub mod message;
pub mod mount;
pub mod names;
pub mod object;
pub mod operation;
pub mod parameters;
pub mod query;
pub mod request;
pub mod route;
mod tar;
pub mod target;
pub mod value;
pub mod version;
