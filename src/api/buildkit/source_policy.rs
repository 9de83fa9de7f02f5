//! Messages of `moby.buildkit.v1.sourcepolicy`: rules that BuildKit itself holds sources against (0.11).

use std::collections::BTreeMap;

use crate::message;

message! {
    /// Rules; the last one that matches wins
    pub struct Policy {
        /// 1
        1 "version" => version: i64,
        /// In order
        2 "rules" => rules: Vec<Rule>,
    }
}

message! {
    /// One rule
    pub struct Rule {
        /// 0 allows, 1 denies, 2 puts another source in its place
        1 "action" => action: i32,
        /// Which sources
        2 "selector" => selector: Option<Selector>,
        /// The other source
        3 "updates" => updates: Option<Update>,
    }
}

message! {
    /// Which sources a rule is about
    pub struct Selector {
        /// As `docker-image://…`
        1 "identifier" => identifier: String,
        /// 0 with wildcards, 1 exactly, 2 by regular expression
        2 "match_type" => match_type: i32,
        /// What its attributes must say
        3 "constraints" => constraints: Vec<Constraint>,
    }
}

message! {
    /// What an attribute must say
    pub struct Constraint {
        /// Attribute
        1 "key" => key: String,
        /// Value
        2 "value" => value: String,
        /// 0 equal, 1 not equal, 2 matches
        3 "condition" => condition: i32,
    }
}

message! {
    /// Another source
    pub struct Update {
        /// As `docker-image://…`
        1 "identifier" => identifier: String,
        /// Its attributes
        2 "attrs" => attrs: BTreeMap<String, String>,
    }
}
