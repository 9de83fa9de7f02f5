//! sockwarden: a policy proxy for the Docker Engine's socket.
//!
//! Read [`exchange`] first: one request from head to last byte. [`api`] is the Engine API as a closed, typed world,
//! [`policy`] judges it; both are pure. [`engine`] alone opens the engine's socket, [`audit`] keeps the record.

pub mod answer;
pub mod api;
pub mod audit;
pub mod caller;
pub mod cli;
pub mod config;
pub mod engine;
pub mod exchange;
pub mod fuzzing;
pub mod hangup;
pub mod log;
pub mod mount;
pub mod owner;
pub mod policy;
pub mod quota;
pub mod reap;
pub mod running;
pub mod server;
pub mod shown;
pub mod stream;
