//! What Rust programs ask an engine for, to be recorded: `recorded-clients bollard|testcontainers`, engine in DOCKER_HOST.
//!
//! The engine's answers do not matter here, so an error is said and the next step done.

mod bollard_steps;
mod testcontainers_steps;

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("bollard") => bollard_steps::run().await,
        Some("testcontainers") => testcontainers_steps::run().await,
        other => panic!("bollard or testcontainers, not {other:?}"),
    }
}

/// Says how a step ended
pub fn say<T, E: std::fmt::Display>(step: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("{step}: done"),
        Err(error) => println!("{step}: {error}"),
    }
}
