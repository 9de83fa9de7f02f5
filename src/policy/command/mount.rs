//! `--mount`, `--volume` and `--tmpfs`.

use serde_json::{Value, json};

use crate::policy::command::BadRequest;
use crate::policy::command::csv::{fields, switch};
use crate::policy::command::draft::Draft;
use crate::policy::command::value::{bytes, slot};

/// `-v source:target[:mode]`, or `-v target` for an anonymous volume
pub(super) fn volume(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    if text.starts_with(['.', '~']) {
        let problem = BadRequest::new("the docker CLI makes this path absolute, from the directory it runs in");
        return Err(problem.help("write an absolute path"));
    }
    if text.contains(':') {
        draft.push("HostConfig.Binds", json!(text));
    } else {
        *draft.entry("Volumes", text) = json!({});
    }
    Ok(())
}

/// `--tmpfs path[:options]`
pub(super) fn tmpfs(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    *draft.entry("HostConfig.Tmpfs", path) = json!(options);
    Ok(())
}

/// `--mount type=…,source=…,target=…`
pub(super) fn mount(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let mut mount = json!({ "Type": "volume" });
    for (key, value) in fields(text)? {
        let given = value.as_deref();
        let value = given.unwrap_or_default();
        let (path, json): (&[&str], Value) = match key.as_str() {
            "type" => (&["Type"], json!(value.to_lowercase())),
            "source" | "src" => (&["Source"], json!(value)),
            "target" | "dst" | "destination" => (&["Target"], json!(value)),
            "readonly" | "ro" => (&["ReadOnly"], json!(switch(given)?)),
            "consistency" => (&["Consistency"], json!(value)),
            "bind-propagation" => (&["BindOptions", "Propagation"], json!(value)),
            "bind-nonrecursive" => (&["BindOptions", "NonRecursive"], json!(switch(given)?)),
            "bind-recursive" => match value {
                "enabled" => continue,
                "disabled" => (&["BindOptions", "NonRecursive"], json!(true)),
                "writable" => (&["BindOptions", "ReadOnlyNonRecursive"], json!(true)),
                "readonly" => (&["BindOptions", "ReadOnlyForceRecursive"], json!(true)),
                _ => return Err(BadRequest::new(format!("`{value}` is no value of bind-recursive"))),
            },
            "volume-nocopy" => (&["VolumeOptions", "NoCopy"], json!(switch(given)?)),
            "volume-subpath" => (&["VolumeOptions", "Subpath"], json!(value)),
            "volume-driver" => (&["VolumeOptions", "DriverConfig", "Name"], json!(value)),
            "volume-opt" | "volume-label" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                let into: &[&str] = match key.as_str() {
                    "volume-opt" => &["VolumeOptions", "DriverConfig", "Options"],
                    _ => &["VolumeOptions", "Labels"],
                };
                *slot(at(&mut mount, into), name) = json!(value);
                continue;
            }
            "tmpfs-size" => (&["TmpfsOptions", "SizeBytes"], json!(bytes(value).map_err(BadRequest::new)?)),
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8);
                (&["TmpfsOptions", "Mode"], json!(mode.map_err(|_| BadRequest::new("the mode is no octal number"))?))
            }
            "image-subpath" => (&["ImageOptions", "Subpath"], json!(value)),
            _ => return Err(BadRequest::new(format!("`--mount` has no field `{key}`"))),
        };
        *at(&mut mount, path) = json;
    }
    draft.push("HostConfig.Mounts", mount);
    Ok(())
}

fn at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Value {
    path.iter().fold(value, |value, key| slot(value, key))
}
