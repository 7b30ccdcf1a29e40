//! Names, addresses and connections.

use super::{Step, TRY_LATER, system, tls};
use crate::account::TlsMode;
use crate::net::{NetError, ProxyProblem};

/// The port of POP3 over TLS.
const POP3S: u16 = 995;

/// About the connection to an account's server.
pub(super) fn step(error: &NetError) -> Step {
    step_at(error, POP3S)
}

/// About the connection to another server, which is configured in a table of its own.
pub(super) fn step_elsewhere(error: &NetError, tls_port: u16, table: &str) -> Step {
    let step = step_at(error, tls_port)?;
    let names_keys = ["host", "port", "tls", "`", "spelling"].iter().any(|part| step.contains(part));
    Some(if names_keys { format!("{step}. These keys are in {table}").into() } else { step })
}

/// About the connection to a server whose kind uses this port for TLS.
fn step_at(error: &NetError, tls_port: u16) -> Step {
    let step = match error {
        NetError::Resolve { .. } => "Check its spelling and this machine's network",
        // The error names what the account demands of the route.
        NetError::NoAddressOnRoute { .. } => "Change `ip` or `source_address`, or remove it",
        NetError::SourceAddress { .. } => "Set `source_address` to an address of this machine, or remove it",
        NetError::Proxy { problem, .. } => return proxy(problem),
        NetError::ClientCertificate { why, .. } => return tls::client_certificate(why),
        NetError::NoAddress { .. } => "Check its spelling in the configuration",
        // If this system lacks something, no address could be tried.
        NetError::Connect { attempts, .. } => attempts
            .iter()
            .find_map(|(_, why)| system::step(why))
            .unwrap_or("Check host and port, this machine's network, and whether the server is up"),
        NetError::ConnectTimeout { attempts, unanswered, .. } if attempts.is_empty() && unanswered.is_empty() => {
            "Check this machine's name servers"
        }
        NetError::LookupsHang { .. } => "Check this machine's name servers",
        NetError::ConnectTimeout { .. } => "Check host and port, and whether a firewall drops the connection",
        NetError::TlsTimeout { tls, .. } => match tls {
            TlsMode::StartTls => {
                return Some(format!("Try again later, or use the port for implicit TLS, usually {tls_port}").into());
            }
            TlsMode::Implicit | TlsMode::None => {
                let step =
                    format!("Check that the port begins with TLS (usually {tls_port}), or set tls = \"starttls\"");
                return Some(step.into());
            }
        },
        NetError::NotTls { tls, .. } => match tls {
            TlsMode::StartTls => {
                let step = format!("Use the port for implicit TLS, usually {tls_port}, or tell the server's operator");
                return Some(step.into());
            }
            TlsMode::Implicit | TlsMode::None => {
                let step = format!("Set tls = \"starttls\", or use the port for implicit TLS, usually {tls_port}");
                return Some(step.into());
            }
        },
        NetError::ClosedDuringHandshake { .. } => {
            "Try again later; if it persists, check that the port is the one for TLS"
        }
        NetError::Certificate { host, problem } => return Some(tls::certificate(host, problem)),
        NetError::Handshake { problem, .. } => tls::handshake(problem),
        NetError::CaFile { why, .. } => tls::ca_file(why),
        NetError::NoTrustStore { .. } => "Install the package ca-certificates, or set tls_ca_file",
        NetError::System { source } => system::step(source).unwrap_or(TRY_LATER),
        NetError::InvalidName { .. } => {
            "Write it in ASCII letters, digits, dots and hyphens (an international name in its xn-- form), or as an \
             address"
        }
    };
    Some(step.into())
}

fn proxy(problem: &ProxyProblem) -> Step {
    match problem {
        ProxyProblem::Unreachable(e) => step(e),
        ProxyProblem::NotAProxy => Some("Check the scheme, the host and the port in `proxy`".into()),
        ProxyProblem::CredentialsRefused => Some("Check the name and password in `proxy`".into()),
        ProxyProblem::Refused(_) | ProxyProblem::Lost(_) | ProxyProblem::TimedOut(_) => Some(TRY_LATER.into()),
    }
}
