//! Attacks, everyday requests and a whole CI job against real Docker Engines.
//!
//! What an answer says is not enough here: after each attack the engine itself is asked whether anything changed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests say what they expect by failing, also outside of test functions"
)]

mod engines {
    pub mod bollard_job;
    pub mod build;
    pub mod build_names;
    pub mod builder;
    pub mod buildkit;
    pub mod buildx;
    pub mod caller;
    pub mod case;
    pub mod classic;
    pub mod command;
    pub mod debug;
    pub mod differential;
    pub mod dockerfiles;
    pub mod frontend;
    pub mod gate;
    pub mod generation;
    pub mod given;
    pub mod http;
    pub mod image_owners;
    pub mod image_sight;
    pub mod imported;
    pub mod inside;
    pub mod isolation;
    pub mod job;
    pub mod load;
    pub mod many;
    pub mod own_builds;
    pub mod own_container;
    pub mod parts;
    pub mod pin_root;
    pub mod pins;
    pub mod quota;
    pub mod reap;
    pub mod references;
    pub mod registry;
    pub mod remote;
    pub mod run;
    pub mod setting;
    pub mod shared;
    pub mod stage;
    pub mod tar;
    pub mod traces;
    pub mod two_jobs;
    pub mod workspace;
}

#[test]
fn a_ci_job_runs_with_a_client_that_knows_nothing_of_it() {
    engines::setting::on_each_engine(engines::bollard_job::run);
}

#[test]
fn a_builder_of_ones_own_is_refused_or_runs_where_a_rule_says() {
    engines::setting::on_each_engine(engines::builder::run);
}

#[test]
fn a_builder_that_speaks_http_2_at_once_is_judged_like_any_other() {
    engines::setting::on_each_engine(engines::remote::run);
}

#[test]
fn a_plain_build_leaves_no_refused_line_on_record() {
    engines::setting::on_each_engine(engines::traces::run);
}

#[test]
fn a_classic_build_fetches_what_its_policy_grants() {
    engines::setting::on_each_engine(engines::classic::run);
}

#[test]
fn a_quota_counts_what_the_engine_has() {
    engines::setting::on_each_engine(engines::quota::admission);
}

#[test]
fn a_cgroup_carries_the_sum_of_its_owners_containers() {
    engines::setting::on_each_engine(engines::quota::cgroup);
}

#[test]
fn a_pinned_directory_cannot_be_swapped_after_the_check() {
    engines::setting::on_each_engine(engines::pins::run);
}

#[test]
fn a_child_has_the_workspace_and_the_socket_of_its_job() {
    engines::setting::on_each_engine(engines::workspace::run);
}

#[test]
fn a_job_gives_its_containers_what_it_has_itself() {
    engines::setting::on_each_engine(engines::given::run);
}

#[test]
fn a_job_container_is_known_by_its_connection() {
    engines::setting::on_each_engine(engines::caller::run);
}

#[test]
fn a_job_that_ends_leaves_nothing_and_its_neighbours_keep_everything() {
    engines::setting::on_each_engine(engines::reap::ends);
}

#[test]
fn a_caller_that_is_killed_leaves_nothing_and_its_neighbour_goes_on() {
    engines::setting::on_each_engine(engines::reap::of_callers);
}

#[test]
fn what_steps_share_by_a_label_goes_after_the_last_of_them() {
    engines::setting::on_each_engine(engines::reap::of_a_label);
}

#[test]
fn what_ends_with_sockwarden_or_its_lease_is_gone_with_it() {
    engines::setting::on_each_engine(engines::reap::with_sockwarden);
}

#[test]
fn cleaning_up_by_hand_removes_what_is_the_owner_s_and_nothing_else() {
    engines::setting::on_each_engine(engines::reap::by_hand);
}

#[test]
fn a_command_has_a_docker_of_its_own_and_leaves_nothing() {
    engines::setting::on_each_engine(engines::command::run);
}

#[test]
fn two_jobs_behind_one_socket_are_nothing_to_each_other() {
    engines::setting::on_each_engine(engines::two_jobs::run);
}

#[test]
fn a_loaded_archive_gives_no_name_that_the_policy_does_not_grant() {
    engines::setting::on_each_engine(engines::load::run);
}

#[test]
fn an_image_name_is_its_makers() {
    engines::setting::on_each_engine(engines::image_owners::run);
}

#[test]
fn an_image_that_buildkit_builds_is_its_owners() {
    engines::setting::on_each_engine(engines::build_names::run);
}

#[test]
fn an_owner_has_its_own_builds_as_if_the_engine_were_its_own() {
    engines::setting::on_each_engine(engines::own_builds::run);
}

#[test]
fn an_image_is_seen_once_it_was_pulled() {
    engines::setting::on_each_engine(engines::image_sight::run);
}

#[test]
fn two_owners_have_an_engine_each() {
    engines::setting::on_each_engine(engines::isolation::run);
}

#[test]
fn a_job_sees_and_uses_its_own_container_and_does_not_end_it() {
    engines::setting::on_each_engine(engines::own_container::run);
}

#[test]
fn what_is_shared_is_used_by_all_and_changed_by_none() {
    engines::setting::on_each_engine(engines::shared::run);
}

#[test]
#[ignore = "measures, so it runs by itself: cargo test --test engines -- --ignored --nocapture"]
fn docker_ps_of_ten_among_a_thousand_is_not_slower_than_bare() {
    engines::setting::on_each_engine(engines::many::run);
}

#[test]
fn no_reference_reaches_what_its_name_would_not() {
    engines::setting::on_each_engine(engines::references::run);
}

#[test]
fn what_a_bent_request_does_through_sockwarden_is_granted() {
    engines::setting::on_each_engine(engines::differential::run);
}

#[test]
fn what_the_classic_builder_fetches_is_listed_or_the_dockerfile_refused() {
    engines::setting::on_each_engine(engines::dockerfiles::run);
}

#[test]
fn no_bent_dockerfile_has_the_classic_builder_fetch_what_is_not_listed() {
    engines::setting::on_each_engine(engines::dockerfiles::drawn);
}

#[test]
fn what_is_remembered_of_a_build_is_its_owners() {
    engines::setting::on_each_engine(engines::build::records::run);
}

#[test]
fn no_step_of_a_build_has_the_hosts_network_or_groups() {
    engines::setting::on_each_engine(engines::build::host::run);
}

#[test]
fn no_step_of_a_build_has_all_rights_or_a_device() {
    engines::setting::on_each_engine(engines::build::rights::run);
}

#[test]
fn no_build_writes_to_a_registry_that_the_policy_does_not_name() {
    engines::setting::on_each_engine(engines::build::push::run);
}

#[test]
fn no_owner_has_more_builds_at_a_time_than_there_is_room_for() {
    engines::setting::on_each_engine(engines::build::crowd::run);
}

#[test]
fn no_build_makes_the_engine_fetch_from_the_host() {
    engines::setting::on_each_engine(engines::build::fetch::run);
}

#[test]
fn nothing_takes_the_place_of_the_engines_frontend() {
    engines::setting::on_each_engine(engines::build::frontends::run);
}

#[test]
fn what_builds_share_by_name_is_their_owners() {
    engines::setting::on_each_engine(engines::build::shared::run);
}

#[test]
fn no_build_takes_anothers_image_name() {
    engines::setting::on_each_engine(engines::build::tags::run);
}

#[test]
fn an_image_of_another_is_not_built_on_nor_looked_into_nor_feigned() {
    engines::setting::on_each_engine(engines::build::images::run);
}

#[test]
fn an_archive_gives_nothing_that_it_does_not_bring() {
    engines::setting::on_each_engine(engines::parts::run);
}

#[test]
fn no_other_spelling_of_a_build_is_another_way() {
    engines::setting::on_each_engine(engines::build::wire::run);
}

#[test]
fn no_imported_cache_is_taken_for_what_the_engine_has_built() {
    engines::setting::on_each_engine(engines::build::poison::run);
}

#[test]
fn a_cache_that_a_policy_names_is_taken_as_by_the_engine_itself() {
    engines::setting::on_each_engine(engines::imported::run);
}

#[test]
fn a_frontend_that_a_policy_names_by_its_digest_is_run_and_no_other() {
    engines::setting::on_each_engine(engines::frontend::run);
}

#[test]
fn a_build_is_looked_into_by_its_owner_with_what_its_steps_may_have() {
    engines::setting::on_each_engine(engines::debug::run);
}

#[test]
fn a_build_is_taken_over_by_nobody() {
    engines::setting::on_each_engine(engines::build::takeover::run);
}

/// One test for each file of `tests/cases`
macro_rules! families {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        $(
            $(#[doc = $doc])*
            #[test]
            fn $name() {
                engines::run::family(stringify!($name));
            }
        )*

        #[test]
        fn every_file_of_cases_is_run() {
            let run = [$(stringify!($name)),*];
            let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")).unwrap();
            for file in files {
                let name = file.unwrap().file_name().into_string().unwrap();
                assert!(run.contains(&name.trim_end_matches(".toml")), "no test runs tests/cases/{name}");
            }
        }
    };
}

families! {
    everyday,
    privileged,
    mounts,
    volumes,
    namespaces,
    rights,
    network,
    foreign,
    images,
    closed,
    smuggling,
    paths,
}
