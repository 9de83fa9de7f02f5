//! `sockwarden coverage`: the closed world as a table, under one policy.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::config::PolicyRef;
use crate::policy::coverage::coverage;
use crate::server::policies::load;

/// Prints every operation, parameter and field with what becomes of it: 0 done, 2 the policy cannot be used
pub fn run(policy: &str) -> ExitCode {
    let source = match Path::new(policy).exists() {
        true => PolicyRef::File(policy.into()),
        false => PolicyRef::Shipped(policy.to_owned()),
    };
    let policy = match load(&source) {
        Ok(policy) => policy,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "sockwarden: {error}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout().lock();
    // A reader that has seen enough is no error.
    let _ = writeln!(out, "{:22} {:55} {:5} {:24} VERDICT", "OPERATION", "FIELD", "API", "TREATMENT");
    for row in coverage(&policy) {
        let line =
            format!("{:22} {:55} {:5} {:24} {}", row.operation, row.field, row.since, row.treatment, row.verdict);
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
