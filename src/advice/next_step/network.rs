//! Names, addresses and connections.

use super::{ConnectionStep, Step, TRY_LATER, of_keys, plain, system, tls};
use crate::account::TlsMode;
use crate::net::{NetError, ProxyProblem};

/// The port of POP3 over TLS.
const POP3S: u16 = 995;

/// About the connection to an account's server.
pub(super) fn step(error: &NetError) -> Step {
    Some(step_at(error, POP3S).words())
}

/// About the connection to another server, which is configured in a table of its own.
pub(super) fn step_elsewhere(error: &NetError, tls_port: u16, table: &str) -> Step {
    Some(match step_at(error, tls_port) {
        ConnectionStep::OfKeys(words) => format!("{words}. These keys are in {table}").into(),
        ConnectionStep::Plain(words) => words,
    })
}

/// About the connection to a server whose kind uses this port for TLS.
fn step_at(error: &NetError, tls_port: u16) -> ConnectionStep {
    match error {
        NetError::Resolve { .. } => of_keys("Check its spelling and this machine's network"),
        // The error names what the account demands of the route.
        NetError::NoAddressOnRoute { .. } => of_keys("Change `ip` or `source_address`, or remove it"),
        NetError::SourceAddress { .. } => of_keys("Set `source_address` to an address of this machine, or remove it"),
        NetError::Proxy { problem, .. } => proxy(problem),
        NetError::ClientCertificate { why, .. } => tls::client_certificate(why),
        NetError::NoAddress { .. } => of_keys("Check its spelling in the configuration"),
        // If this system lacks something, no address could be tried.
        NetError::Connect { attempts, .. } => match attempts.iter().find_map(|(_, why)| system::step(why)) {
            Some(lacking) => plain(lacking),
            None => of_keys("Check host and port, this machine's network, and whether the server is up"),
        },
        NetError::ConnectTimeout { attempts, unanswered, .. } if attempts.is_empty() && unanswered.is_empty() => {
            plain("Check this machine's name servers")
        }
        NetError::LookupsHang { .. } => plain("Check this machine's name servers"),
        NetError::ConnectTimeout { .. } => of_keys("Check host and port, and whether a firewall drops the connection"),
        NetError::TlsTimeout { tls, .. } => of_keys(match tls {
            TlsMode::StartTls => format!("Try again later, or use the port for implicit TLS, usually {tls_port}"),
            TlsMode::Implicit | TlsMode::None => {
                format!("Check that the port begins with TLS (usually {tls_port}), or set tls = \"starttls\"")
            }
        }),
        NetError::NotTls { tls, .. } => of_keys(match tls {
            TlsMode::StartTls => {
                format!("Use the port for implicit TLS, usually {tls_port}, or tell the server's operator")
            }
            TlsMode::Implicit | TlsMode::None => {
                format!("Set tls = \"starttls\", or use the port for implicit TLS, usually {tls_port}")
            }
        }),
        NetError::ClosedDuringHandshake { .. } => {
            of_keys("Try again later; if it persists, check that the port is the one for TLS")
        }
        NetError::Certificate { host, problem } => tls::certificate(host, problem),
        NetError::Handshake { problem, .. } => tls::handshake(problem),
        NetError::CaFile { why, .. } => tls::ca_file(why),
        NetError::NoTrustStore { .. } => of_keys("Install the package ca-certificates, or set tls_ca_file"),
        NetError::System { source } => plain(system::step(source).unwrap_or(TRY_LATER)),
        NetError::InvalidName { .. } => plain(
            "Write it in ASCII letters, digits, dots and hyphens (an international name in its xn-- form), or as an \
             address",
        ),
    }
}

fn proxy(problem: &ProxyProblem) -> ConnectionStep {
    match problem {
        ProxyProblem::Unreachable(e) => step_at(e, POP3S),
        ProxyProblem::NotAProxy => of_keys("Check the scheme, the host and the port in `proxy`"),
        ProxyProblem::CredentialsRefused => of_keys("Check the name and password in `proxy`"),
        ProxyProblem::Refused(_) | ProxyProblem::Lost(_) | ProxyProblem::TimedOut(_) => plain(TRY_LATER),
    }
}
