//! `-p [address:][host port]:port[/protocol]`, with ranges on either side.

use std::net::IpAddr;

use serde_json::json;

use crate::policy::command::BadRequest;
use crate::policy::command::draft::Draft;

pub(super) fn publish(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, inside) = rest.rsplit_once(':').map_or((None, rest), |(rest, inside)| (Some(rest), inside));
    let (address, outside) = match rest {
        None => ("", ""),
        Some(rest) => rest.rsplit_once(':').unwrap_or(("", rest)),
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(BadRequest::new(format!("`{address}` is no IP address")));
    }
    let (first, last) = range(inside)?;
    let host = if outside.is_empty() { None } else { Some(range(outside)?) };
    for (index, port) in (first..=last).enumerate() {
        let outside = match host {
            None => String::new(),
            Some((low, high)) if high - low == last - first => (usize::from(low) + index).to_string(),
            // One port inside and a range outside: any free one of the range.
            Some(_) if first == last => outside.to_owned(),
            Some(_) => return Err(BadRequest::new("the two ranges differ in length")),
        };
        let key = format!("{port}/{protocol}");
        *draft.entry("ExposedPorts", &key) = json!({});
        let bindings = draft.entry("HostConfig.PortBindings", &key);
        let binding = json!({ "HostIp": address, "HostPort": outside });
        match bindings.as_array_mut() {
            Some(bindings) => bindings.push(binding),
            None => *bindings = json!([binding]),
        }
    }
    Ok(())
}

/// `80` or `8000-8010`
fn range(text: &str) -> Result<(u16, u16), BadRequest> {
    let port = |text: &str| text.parse::<u16>().map_err(|_| BadRequest::new(format!("`{text}` is no port")));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last { Err(BadRequest::new("the range ends before it begins")) } else { Ok((first, last)) }
}

/// `--expose port[-port][/protocol]`
pub(super) fn expose(draft: &mut Draft, text: &str) -> Result<(), BadRequest> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range(ports)?;
    for port in first..=last {
        *draft.entry("ExposedPorts", &format!("{port}/{protocol}")) = json!({});
    }
    Ok(())
}
