//! The address of the status page: `http` in `[daemon]`.

use std::net::SocketAddr;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::HttpAddress;
use super::path;
use super::problem::Problem;
use super::value::{InvalidValue, boolean, plain_text, read};

/// Examples for error messages.
const EXAMPLE: &str =
    "an address and a port such as \"127.0.0.1:9110\", or the path of a socket such as \"/run/mailferry/http.sock\"";

/// Reads the address, if the table has a valid one.
pub(super) fn address(table: &DeTable<'_>, home: Option<&Path>, problems: &mut Vec<Problem>) -> Option<HttpAddress> {
    let remote = read(table, "http_allow_remote", problems, boolean);
    let may_be_remote = remote.value().copied().unwrap_or(false);
    let http = read(table, "http", problems, |value| one(value, home, may_be_remote));
    http.value().cloned()
}

fn one(value: &DeValue<'_>, home: Option<&Path>, may_be_remote: bool) -> Result<HttpAddress, InvalidValue> {
    let text = plain_text(value, EXAMPLE)?;
    if text.starts_with(['/', '~']) {
        return path::absolute(text, home).map(HttpAddress::Unix);
    }
    if text.contains("://") {
        return Err(InvalidValue::new("is a URL", format!("write {EXAMPLE}")));
    }
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr =
        local.as_deref().unwrap_or(text).parse().map_err(|_| {
            InvalidValue::new("is neither an address with a port nor a path", format!("write {EXAMPLE}"))
        })?;
    if !address.ip().is_loopback() && !may_be_remote {
        return Err(InvalidValue::new(
            "can be reached from other machines, and everybody who can reach it could read the page",
            "write 127.0.0.1 and put a web server with a login in front of it, or add `http_allow_remote = true`",
        ));
    }
    Ok(HttpAddress::Tcp(address))
}
