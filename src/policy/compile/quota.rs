//! Quotas.

use crate::policy::compile::amount;
use crate::policy::compile::fixed::number;
use crate::policy::file;
use crate::policy::quota::{Quota, Resource};
use crate::policy::report::{Code, Problem, Report};

pub(super) fn add(quota: &mut Quota, written: &file::Quota, report: &mut Report) {
    let file::Quota { most, cgroup } = written;
    for (resource, written) in most {
        let read = match resource {
            Resource::Memory => amount::bytes,
            Resource::Cpus => amount::nano_cpus,
            Resource::Pids => amount::count,
            Resource::Containers | Resource::Networks | Resource::Volumes | Resource::Execs | Resource::Ports => {
                amount::most
            }
        };
        if let Some(most) = number(written, read, report) {
            quota.most.insert(*resource, most);
        }
    }
    if let Some(yes) = cgroup {
        quota.cgroup = yes.as_ref().then(|| report.line(&yes.span()));
        if *yes.as_ref() && !Resource::IN_CGROUP.iter().any(|resource| quota.most.contains_key(resource)) {
            let problem = Problem::new(Code::NoEffect, yes.span(), "a cgroup would have nothing to carry");
            report.push(problem.help("give the owner a sum of `memory`, `cpus` or `pids` in `[quota]`"));
        }
    }
}
