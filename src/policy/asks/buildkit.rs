//! Asks of a build with BuildKit: what its calls say themselves. What its steps ask for is found in [`steps`].
//!
//! `Control/Solve` says what becomes of the result and holds a copy of the options, `LLBBridge/Solve` has the options that
//! count. Both are judged alike, so that a refusal comes before anything has run.

pub mod cache;
mod options;
pub mod steps;
#[cfg(test)]
mod tests;

use crate::api::buildkit::bridge::{ResolveImageConfig, ResolveSourceMeta, Solve as BridgeSolve};
use crate::api::buildkit::control::{CacheOptions, Solve};
use crate::api::buildkit::source_policy::Policy;
use crate::policy::ask::{Flag, What};
use crate::policy::asks::{Asks, exporter};

/// What a build is to be
pub(super) fn solve(body: &Solve, asks: &mut Asks) {
    let Solve {
        // The owner's own by naming.
        reference: _,
        session: _,
        // Where the result goes.
        exporter: _,
        exporter_attrs: _,
        exporters: _,
        enable_session_exporter: _,
        definition,
        frontend,
        frontend_attrs,
        cache,
        entitlements,
        frontend_inputs,
        // Leaves no record in the engine's history; there is one here.
        internal: _,
        source_policy,
        source_policy_session,
        compatibility_version: _,
        // Steps reach less.
        proxy_network: _,
    } = body;
    if definition.is_some() || !frontend.is_empty() || !frontend_inputs.is_empty() {
        asks.add(What::Raw("a build that the engine is to run by itself"), "Definition");
    }
    exporter::exporters(body, asks);
    options::options(frontend_attrs, "FrontendAttrs", asks);
    if let Some(CacheOptions { export_ref, import_refs, export_attrs, exports, imports }) = cache {
        if !export_ref.is_empty() {
            let mut attrs = export_attrs.clone();
            attrs.insert("ref".to_owned(), export_ref.clone());
            cache::export("registry", &attrs, "Cache.ExportRefDeprecated", asks);
        }
        for (index, image) in import_refs.iter().enumerate() {
            cache::import_image(image, &format!("Cache.ImportRefsDeprecated[{index}]"), asks);
        }
        for (index, entry) in exports.iter().enumerate() {
            cache::export(&entry.kind, &entry.attrs, &format!("Cache.Exports[{index}]"), asks);
        }
        for (index, entry) in imports.iter().enumerate() {
            cache::import(&entry.kind, &entry.attrs, &format!("Cache.Imports[{index}]"), asks);
        }
    }
    for (index, entitlement) in entitlements.iter().enumerate() {
        asks.flag(Flag::Entitlement, entitlement, format!("Entitlements[{index}]"));
    }
    source_policies(source_policy, "SourcePolicy", asks);
    if !source_policy_session.is_empty() {
        asks.add(What::Raw(CLIENTS_RULES), "SourcePolicySession");
    }
}

/// What is really built
pub(super) fn bridge_solve(body: &BridgeSolve, asks: &mut Asks) {
    let BridgeSolve {
        definition,
        frontend,
        frontend_opt,
        import_cache_refs,
        allow_result_return,
        allow_result_array_ref,
        is_final,
        exporter_attr,
        cache_imports,
        // Steps, which are asked for what they are.
        frontend_inputs: _,
        // Never sent.
        evaluate: _,
        source_policies: policies,
    } = body;
    if definition.is_some() {
        asks.add(What::Raw("steps that no frontend made"), "Definition");
    }
    if !(*allow_result_return && *allow_result_array_ref) {
        asks.add(What::Raw("a build whose steps are not told"), "allowResultArrayRef");
    }
    if *is_final || !exporter_attr.is_empty() {
        asks.add(What::Raw("an end of a build that old frontends made"), "Final");
    }
    match frontend.as_str() {
        "" | "dockerfile.v0" => {}
        "gateway.v0" => {
            // The option is asked for as what it is.
            if frontend_opt.get("source").is_none_or(String::is_empty) {
                asks.add(What::Odd("frontend", String::new()), "FrontendOpt.source");
            }
        }
        other => asks.add(What::Odd("frontend", other.to_owned()), "Frontend"),
    }
    options::options(frontend_opt, "FrontendOpt", asks);
    for (index, image) in import_cache_refs.iter().enumerate() {
        cache::import_image(image, &format!("ImportCacheRefsDeprecated[{index}]"), asks);
    }
    for (index, entry) in cache_imports.iter().enumerate() {
        cache::import(&entry.kind, &entry.attrs, &format!("CacheImports[{index}]"), asks);
    }
    source_policies(policies, "SourcePolicies", asks);
}

/// What an image is, asked of its registry
pub(super) fn resolve_image(body: &ResolveImageConfig, asks: &mut Asks) {
    let ResolveImageConfig {
        reference,
        platform: _,
        resolve_mode: _,
        log_name: _,
        resolver_type,
        // The owner's own by naming.
        session_id: _,
        store_id: _,
        source_policies: policies,
    } = body;
    match resolver_type {
        0 => asks.image(reference, "Ref"),
        // In a store of the session.
        1 => asks.add(What::Layout, "ResolverType"),
        other => asks.add(What::Odd("resolver", other.to_string()), "ResolverType"),
    }
    source_policies(policies, "SourcePolicies", asks);
}

/// What a source is; the source itself is asked for like that of a step
pub(super) fn resolve_source(body: &ResolveSourceMeta, asks: &mut Asks) {
    let ResolveSourceMeta {
        source: _,
        platform: _,
        log_name: _,
        resolve_mode: _,
        git: _,
        image: _,
        http: _,
        source_policies: policies,
    } = body;
    source_policies(policies, "SourcePolicies", asks);
}

/// Rules of the client's could put one source in another's place
fn source_policies<'a>(policies: impl IntoIterator<Item = &'a Policy>, field: &str, asks: &mut Asks) {
    if policies.into_iter().next().is_some() {
        asks.add(What::Raw(CLIENTS_RULES), field);
    }
}

const CLIENTS_RULES: &str = "rules for sources that the client brings";
