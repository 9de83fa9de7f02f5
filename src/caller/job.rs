//! The CI job in the labels of its container.
//!
//! Labels of the container only, never its environment: that is full of secrets, and a job may set it.

use std::collections::BTreeMap;

/// Labels that name a job: whole keys, or beginnings of keys with a `*` behind
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLabels(Vec<String>);

impl JobLabels {
    /// These keys
    pub fn of_keys(keys: impl IntoIterator<Item = String>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// What they say of the job, in the bounds of a record
    pub fn of(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let named = labels.iter().filter(|(key, _)| key.len() <= MOST_BYTES && self.names(key));
        named.take(MOST_LABELS).map(|(key, value)| (key.clone(), bounded(value))).collect()
    }

    fn names(&self, key: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => key == pattern,
        })
    }
}

/// The labels that name the project of a job, as one text; none where there are none, or an image may have brought them
///
/// Which of them a runner sets is not known, so all count: whoever brings one along only leaves the group.
pub fn project(labels: &BTreeMap<String, String>, of_image: &BTreeMap<String, String>) -> Option<String> {
    let named = labels.iter().filter(|(key, _)| PROJECT.contains(&key.as_str()));
    let certain = named.clone().all(|(key, value)| of_image.get(key) != Some(value));
    let words: Vec<String> = named.map(|(key, value)| format!("{key}={value}")).collect();
    (certain && !words.is_empty()).then(|| words.join("\n"))
}

/// Whether any label names a project
pub fn names_a_project(labels: &BTreeMap<String, String>) -> bool {
    PROJECT.iter().any(|key| labels.contains_key(*key))
}

impl Default for JobLabels {
    fn default() -> Self {
        Self::of_keys(DEFAULT.iter().map(|key| (*key).to_owned()))
    }
}

fn bounded(value: &str) -> String {
    let mut end = value.len().min(MOST_BYTES);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.get(..end).unwrap_or_default().to_owned()
}

/// What the runners set; GitHub's sets none that names its job
const DEFAULT: &[&str] = &[
    "com.gitlab.gitlab-runner.job.*",
    "com.gitlab.gitlab-runner.pipeline.id",
    "com.gitlab.gitlab-runner.project.id",
    "com.gitlab.gitlab-runner.runner.id",
    "com.buildkite.pipeline_slug",
    "com.buildkite.build_number",
    "com.buildkite.job_id",
    "com.buildkite.step_key",
    "com.buildkite.agent_id",
    "io.drone.repo.slug",
    "io.drone.build.number",
    "io.drone.stage.name",
    "io.drone.step.name",
    "wp_uuid",
    "wp_step",
    "com.nirima.jenkins.plugins.docker.*",
];

/// Those of them that name its project
const PROJECT: &[&str] = &["com.buildkite.pipeline_slug", "com.gitlab.gitlab-runner.project.id", "io.drone.repo.slug"];

/// Labels in a record
const MOST_LABELS: usize = 32;
/// Bytes of a key or a value in a record
const MOST_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_runners_job_is_known() {
        let all = labels(&[
            ("com.gitlab.gitlab-runner.job.id", "7"),
            ("com.gitlab.gitlab-runner.job.url", "https://gitlab.example.com/a/b/-/jobs/7"),
            ("com.gitlab.gitlab-runner.pipeline.id", "3"),
            ("com.buildkite.job_id", "018f"),
            ("io.drone.build.number", "12"),
            ("wp_uuid", "01H"),
            ("com.nirima.jenkins.plugins.docker.JenkinsId", "c0ffee"),
        ]);
        assert_eq!(JobLabels::default().of(&all), all);
        let others = labels(&[("secret", "x"), ("com.gitlab.gitlab-runner.managed", "true"), ("wp_uuid2", "y")]);
        assert_eq!(JobLabels::default().of(&others), BTreeMap::new());
    }

    #[test]
    fn a_site_names_its_own() {
        let ours = JobLabels::of_keys(["ci.job".into(), "org.example.*".into()]);
        let all = labels(&[("ci.job", "7"), ("ci.job.x", "8"), ("org.example.a", "9"), ("org.example", "10")]);
        assert_eq!(ours.of(&all), labels(&[("ci.job", "7"), ("org.example.a", "9")]));
    }

    #[test]
    fn a_record_does_not_grow_with_labels() {
        let any = JobLabels::of_keys(["*".into()]);
        let many: BTreeMap<_, _> = (0..100).map(|number| (format!("{number:03}"), "é".repeat(1000))).collect();
        let told = any.of(&many);
        assert_eq!((told.len(), told["000"].as_str()), (32, "é".repeat(128).as_str()));
        assert_eq!(any.of(&labels(&[(&"k".repeat(257), "v")])), BTreeMap::new());
    }

    #[test]
    fn a_project_is_named_by_its_runner_alone() {
        let gitlab = ("com.gitlab.gitlab-runner.project.id", "42");
        let mine = labels(&[gitlab, ("com.gitlab.gitlab-runner.job.id", "7")]);
        let next = labels(&[gitlab, ("com.gitlab.gitlab-runner.job.id", "8")]);
        let none = BTreeMap::new();
        assert!(project(&mine, &none).is_some() && names_a_project(&mine));
        assert_eq!(project(&mine, &none), project(&next, &none));
        assert_eq!(project(&mine, &labels(&[gitlab])), None, "an image may have brought it");
        assert_eq!(project(&labels(&[("wp_uuid", "1")]), &none), None);
        let drone = labels(&[("io.drone.repo.slug", "a/b"), gitlab]);
        assert_eq!(project(&drone, &labels(&[gitlab])), None, "an image that adds another one only leaves the group");
        assert_ne!(project(&drone, &none), project(&mine, &none));
    }
}
