//! What keeps quotas: turns, so that what was counted is still so when more is made, and cgroups that carry sums.
//!
//! Knows nothing of policies and engines: it is told whose turn it is, and what a cgroup is to carry.

pub mod cgroup;
pub mod turn;
