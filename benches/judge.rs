//! What one container create costs before a byte is sent: read, judge, write.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hyper::Method;
use sockwarden::api::call::{Call, Outgoing};
use sockwarden::api::credentials::RegistryHeaders;
use sockwarden::api::version::ApiVersion;
use sockwarden::policy::compile::compile;
use sockwarden::policy::judge::{Facts, judge};
use sockwarden::policy::shipped;

/// What docker CLI 28 sends for `docker run -v data:/data -p 8080:80 --memory 1g alpine sh`, zero values left out
const CREATE: &[u8] =
    br#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,
"ExposedPorts":{"80/tcp":{}},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["A=1","B=2"],"Cmd":["sh"],
"Image":"alpine","Volumes":{},"WorkingDir":"","Entrypoint":null,"Labels":{"com.example.job":"7"},
"HostConfig":{"Binds":["data:/data"],"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default",
"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},
"AutoRemove":true,"CapAdd":null,"CapDrop":null,"Memory":1073741824,"Privileged":false,"PidsLimit":0,
"MaskedPaths":null,"ReadonlyPaths":null},"NetworkingConfig":{"EndpointsConfig":{}}}"#;

fn create(criterion: &mut Criterion) {
    let policy = compile("ci", shipped::text("ci").unwrap()).unwrap();
    let read = || {
        let call = Call::read(&Method::POST, "/v1.51/containers/create", Some("name=web"), RegistryHeaders::default());
        call.unwrap().operation(black_box(CREATE)).unwrap()
    };
    let operation = read();
    let mut group = criterion.benchmark_group("container.create");
    group.bench_function("read", |bencher| bencher.iter(read));
    group.bench_function("judge", |bencher| {
        bencher.iter(|| judge(&policy, black_box(operation.clone()), &Facts::default()));
    });
    group.bench_function("write", |bencher| bencher.iter(|| Outgoing::write(black_box(&operation), ApiVersion::MAX)));
    group.finish();
}

criterion_group!(benches, create);
criterion_main!(benches);
