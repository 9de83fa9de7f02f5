//! What real clients were recorded to ask, byte for byte through the real binary: no head and no framing of theirs is
//! refused. What becomes of parameters and bodies is held by `tests/recorded.rs`.

use crate::prompt::Prompt;
use crate::proxy::{Proxy, Setup};
use crate::request::{Recorded, recorded};

#[test]
fn no_head_of_a_real_client_is_refused() {
    let engine = Prompt::start();
    let proxy = Proxy::at(engine.socket(), tempfile::tempdir().unwrap(), Setup::default());
    let (mut passed, mut refused) = (0, Vec::new());
    for request in recorded() {
        let mut client = proxy.connect();
        client.send(on_the_wire(&request));
        // The answer to a HEAD announces a body that does not come.
        let (head, body) = match request.method.as_str() {
            "HEAD" => (client.head(), String::new()),
            _ => {
                let answer = client.message();
                (answer.head, String::from_utf8(answer.body).unwrap())
            }
        };
        let expected = ["is closed: ", "sockwarden: body field ", "sockwarden: query parameter "];
        if head.starts_with("HTTP/1.1 200 ") {
            passed += 1;
        } else if !expected.iter().any(|expected| body.contains(expected)) {
            refused.push(format!("{request}\n    {body}"));
        }
    }
    assert!(refused.is_empty(), "{} were refused:\n{}", refused.len(), refused.join("\n"));
    assert!(passed > 1000 && engine.heard().len() > 1000, "only {passed} passed");
}

fn on_the_wire(request: &Recorded) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
    for (name, value) in &request.headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    bytes.extend(b"\r\n");
    if request.header("Transfer-Encoding").is_some() {
        bytes.extend(format!("{:x}\r\n", request.body.len()).into_bytes());
        bytes.extend(&request.body);
        bytes.extend(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend(&request.body);
    }
    bytes
}
